"""What the log centre costs: a message, a million of them, and getting rid of them again."""

from __future__ import annotations

import logging
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, sleep

import psycopg
import structlog

from app import create_app
from app.config import Settings
from app.models import db
from app.services.log_centre.shipping import connect, shipping
from app.services.partition_management.partition_management_service import (
    partition_management_service,
)
from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.log_shipping import LogShipper
from app.utils.structlog_config import configure_logging, get_system_logger
from benchmarks.report import Bench, Figure

THREADS = 4


def expired_logs(bench: Bench, rows: int | None = None) -> list[Figure]:
    """(d) An expired day of log entries: its partition dropped, against DELETE of its rows."""
    rows = rows or (100_000 if bench.quick else 10_000_000)
    bench.say(f"(d) {rows:,} log rows expire")
    day = (datetime.now(UTC) - timedelta(days=30)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    partition = f"log_entries_info_{day:%Y_%m_%d}"
    following = day + timedelta(days=1)
    with bench.store.fresh() as url:
        conninfo = url.replace("+psycopg", "", 1)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                f"CREATE TABLE {partition} PARTITION OF log_entries_info"
                f" FOR VALUES FROM ('{day}') TO ('{following}')"
            )
            connection.execute(_FILL, {"day": day, "rows": rows})
            connection.execute("CHECKPOINT")
            with connection.transaction(force_rollback=True):
                deleted, wal = _timed(
                    connection,
                    f"DELETE FROM log_entries_info WHERE occurred_at < '{following}'",
                )
            size = _one(connection, f"SELECT pg_total_relation_size('{partition}')")
            connection.execute("CHECKPOINT")
        with _application(url, bench.place / "logs") as settings:
            assert settings.database_url == url
            started = perf_counter()
            report = partition_management_service.drop_expired(["log_entries_info"])
            dropped = perf_counter() - started
        assert [one["partition"] for one in report["dropped"]] == [partition], report
    return [
        Figure(
            f"expire {rows:,} log rows ({size / 2**20:,.0f} MiB): DELETE, without its VACUUM",
            f"{deleted:.2f} s, {wal / 2**20:,.0f} MiB of WAL",
        ),
        Figure(
            f"expire {rows:,} log rows: partition management",
            f"{dropped * 1000:.0f} ms, {deleted / dropped:,.0f} times as fast",
        ),
    ]


def said_messages(bench: Bench, count: int | None = None) -> list[Figure]:
    """(l) One message through the whole chain: for the console only, and for the store, too."""
    count = count or (2_000 if bench.quick else 50_000)
    bench.say(f"(l) {count:,} messages")
    figures = []
    median: dict[bool, float] = {}
    with bench.store.fresh() as url, _no_console():
        for stored in (False, True):
            settings = Settings(
                database_url=url,
                data_dir=_made(bench.place / "said"),
                log_format="json",
                log_level="INFO",
                log_to_store=stored,
            )
            configure_logging(settings)
            with shipping(settings) as shipper:
                connect(shipper, settings, url)
                times = sorted(_say(count))
            median[stored] = statistics.median(times)
            figures.append(
                Figure(
                    "a message to the console" + (" and the log centre" if stored else ""),
                    f"{median[stored] * 1e6:.0f} µs, 99 %: {times[int(count * 0.99)] * 1e6:.0f} µs,"
                    f" longest {times[-1] * 1e3:.1f} ms",
                )
            )
    structlog.reset_defaults()
    return figures


def shipped_million(bench: Bench, count: int | None = None) -> list[Figure]:
    """(m) A million entries of four threads while the store is stopped and started again."""
    count = count or (40_000 if bench.quick else 1_000_000)
    bench.say(f"(m) {count:,} log entries with the store stopped in between")
    with bench.store.fresh() as url:
        steady = _shipped(bench, url, count, restart=False)
    with bench.store.fresh() as url:
        stopped = _shipped(bench, url, count, restart=True)
    return [
        Figure(
            f"{count:,} log entries into the store",
            f"{steady[0]:.1f} s, {count / steady[0]:,.0f}/s",
        ),
        Figure(
            "the same with the store stopped for 3 s: all there, none twice",
            f"{stopped[0]:.1f} s, longest wait of a thread that logs {stopped[1] * 1000:.0f} ms",
        ),
    ]


_FILL = """\
INSERT INTO log_entries (occurred_at, producer_id, sequence, severity_class, level, logger, module,
    event, fields, run_id, item_id, instance_id)
SELECT %(day)s + make_interval(secs => n * 86399.0 / %(rows)s), 1, n, 'info', 'info', 'whalefall',
    'accounts_sync', 'Scope was read', jsonb_build_object('scope', 'database', 'rows', n % 997,
    'seconds', 0.25), n / 1000, n / 10, n %% 500
FROM generate_series(1, %(rows)s) AS n
""".replace("n % 997", "n %% 997")


def _shipped(bench: Bench, url: str, count: int, *, restart: bool) -> tuple[float, float]:
    settings = Settings(database_url=url, data_dir=_made(bench.place / "shipped"))
    shipper = LogShipper("INFO")
    connect(shipper, settings, url)
    slowest: list[float] = []
    started = perf_counter()
    threads = [
        threading.Thread(target=_take, args=(shipper, count // THREADS, slowest))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    if restart:
        sleep(1)
        _restart(bench.store.server)
    for thread in threads:
        thread.join()
    assert shipper.flush(600)
    seconds = perf_counter() - started
    shipper.close()
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT sequence), max(sequence) FROM log_entries"
            " WHERE event = 'counted'"
        ).fetchone()
    assert found == (count, count, count), found
    return seconds, max(slowest)


def _restart(server: EmbeddedPostgres) -> None:
    server.stop()
    sleep(3)
    server.start()


def _take(shipper: LogShipper, count: int, slowest: list[float]) -> None:
    longest = 0.0
    for number in range(count):
        event = {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": "info",
            "logger": "whalefall",
            "module": "benchmark",
            "event": "counted",
            "number": number,
        }
        before = perf_counter()
        shipper.take(event)
        longest = max(longest, perf_counter() - before)
    slowest.append(longest)


def _say(count: int) -> Iterator[float]:
    logger = get_system_logger()
    with structlog.contextvars.bound_contextvars(run_id=1, item_id=2, instance_id=3):
        for number in range(count):
            before = perf_counter()
            logger.info("Scope was read", module="benchmark", scope="database", rows=number)
            yield perf_counter() - before


def _timed(connection: psycopg.Connection, statement: str) -> tuple[float, int]:
    """Return the seconds that a statement took, and the bytes of WAL that it wrote."""
    before = _one(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    started = perf_counter()
    connection.execute(statement)
    seconds = perf_counter() - started
    return seconds, _one(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn") - before


def _one(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _application(url: str, data_dir: Path) -> Iterator[Settings]:
    settings = Settings(database_url=url, data_dir=_made(data_dir), log_level="ERROR")
    application = create_app(settings)
    with application.app_context():
        try:
            yield settings
        finally:
            db.session.close()
            db.engine.dispose()


@contextmanager
def _no_console() -> Iterator[None]:
    """Let what is logged go where a terminal cannot slow it down."""
    root = logging.getLogger()
    level, stderr = root.level, sys.stderr
    with Path("/dev/null").open("w") as nowhere:
        sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stderr = stderr
            root.setLevel(level)


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory
