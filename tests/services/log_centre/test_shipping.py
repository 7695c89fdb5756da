"""What processes say arrives: all of it, once, in order, and without a secret in it."""

from __future__ import annotations

import json
import logging
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import structlog
from flask import Flask

from app.config import Settings
from app.services.log_centre.shipping import LogWriter
from app.utils.log_queue import LONGEST_WAIT_SECONDS, Entry
from app.utils.log_shipping import LogShipper, StoreAway
from app.utils.log_spill import FOLDER, Producer
from app.utils.structlog_config import get_system_logger
from tests.services.log_centre.conftest import Logged, Shipping
from tests.utils.test_structlog_config import SECRET

NOWHERE = "postgresql+psycopg://nobody@/nothing?host=/nonexistent"
"""A store that is away."""


def test_an_event_arrives_with_everything_that_belongs_to_it(
    shipped: Shipping, logged: Logged
) -> None:
    with (
        shipped(),
        structlog.contextvars.bound_contextvars(run_id=7, item_id=8, instance_id=9, task="t"),
    ):
        try:
            raise ZeroDivisionError("no")  # noqa: TRY301 - what is logged
        except ZeroDivisionError as error:
            get_system_logger().exception("账户同步失败", module="tasks", error=str(error), n=1)
    (row,) = logged()
    assert abs((row["occurred_at"] - datetime.now(UTC)).total_seconds()) < 60
    assert row["traceback"].startswith("Traceback")
    assert row["partition"].startswith("log_entries_error_2")
    assert row["fingerprint"] is not None
    expected = {
        "sequence": 1,
        "run_id": 7,
        "item_id": 8,
        "instance_id": 9,
        "severity_class": "error",
        "level": "error",
        "logger": "whalefall",
        "module": "tasks",
        "event": "账户同步失败",
        "fields": {"error": "no", "task": "t", "n": 1},
    }
    assert {name: row[name] for name in expected} == expected


def test_libraries_are_heard_too_and_every_class_has_its_own_partitions(
    shipped: Shipping, logged: Logged
) -> None:
    with shipped(log_level="DEBUG"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL, 25):
            logging.getLogger("some.library").log(level, "said %s", "it")
    rows = {row["level"]: row for row in logged("logger = 'some.library'")}
    assert {level: row["severity_class"] for level, row in rows.items()} == {
        "debug": "info",
        "info": "info",
        "level 25": "info",
        "warning": "warning",
        "critical": "error",
    }
    assert {row["event"] for row in rows.values()} == {"said it"}
    assert all(row["partition"] > f"log_entries_{row['severity_class']}" for row in rows.values())
    assert rows["info"]["fingerprint"] is None
    assert rows["warning"]["fingerprint"] is not None


def say_secrets() -> None:
    logger = get_system_logger()
    url = f"postgresql://u:{SECRET}@h/db"
    logger.info("reading %s", url, password=SECRET, deep=[{"token": SECRET, "dsn": url}])
    logger.warning("login", error=f"password={SECRET}", sql=f"ALTER ROLE x PASSWORD '{SECRET}'")
    library = logging.getLogger("some.library")
    library.warning("using %s", url, extra={"api_key": SECRET})
    library.error("IDENTIFIED BY '%s'", SECRET)
    try:
        try:
            raise ValueError(f"first: {url}")  # noqa: TRY301 - what is logged
        except ValueError as first:
            raise RuntimeError(f"Authorization: Bearer {SECRET}") from first
    except RuntimeError:
        logger.exception("failed")
        library.exception("failed, says %s", f"{{'passwd': '{SECRET}'}}")


def test_no_secret_reaches_the_log_centre(shipped: Shipping, logged: Logged) -> None:
    with shipped():
        say_secrets()
    told = str(logged())
    assert len(logged()) == 6
    assert "Pa55" not in told
    assert "RuntimeError" in told


def test_no_secret_reaches_the_file_which_only_its_owner_reads(
    shipped: Shipping, settings: Settings
) -> None:
    with shipped(NOWHERE):
        say_secrets()
    (file,) = (settings.data_dir / FOLDER).iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert len(file.read_bytes().splitlines()) == 7
    assert b"Pa55" not in file.read_bytes()


def test_what_was_said_while_the_store_was_away_is_loaded_first_by_the_next_process(
    shipped: Shipping, logged: Logged, settings: Settings
) -> None:
    with shipped(NOWHERE):
        for number in range(5):
            get_system_logger().info("said", number=number)
    assert logged() == []
    with shipped():
        get_system_logger().info("said", number=5)
    said = logged("event = 'said'")
    assert [row["fields"]["number"] for row in said] == list(range(6))
    (told,) = logged("severity_class = 'warning'")
    assert told["fields"]["entries"] == 5
    assert list((settings.data_dir / FOLDER).iterdir()) == []


def test_a_killed_process_loses_nothing_that_it_said_a_moment_before(
    shipped: Shipping, logged: Logged, settings: Settings
) -> None:
    program = f"""
import time
from pathlib import Path
from app.config import Settings
from app.services.log_centre.shipping import connect, shipping
from app.utils.structlog_config import configure_logging, get_system_logger
settings = Settings(data_dir=Path({str(settings.data_dir)!r}), log_format="json")
configure_logging(settings)
with shipping(settings) as shipper:
    connect(shipper, settings, {NOWHERE!r})
    for number in range(1000):
        get_system_logger().info("said", number=number)
    time.sleep(2.5)
    print("said", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"said\n"
        process.send_signal(signal.SIGKILL)
    # two processes that find the file at the same time
    with shipped() as first, shipped() as second:
        assert first.flush(10)
        assert second.flush(10)
    said = logged("event = 'said'")
    assert [row["fields"]["number"] for row in said] == list(range(1000))


def test_nothing_is_twice_and_nothing_missing_whatever_becomes_of_the_answers(
    logged: Logged,
    settings: Settings,
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.utils.log_shipping._PAUSES", (0.01,))
    dice = random.Random(20260501)  # noqa: S311 - it only has to be the same each time
    writer = LogWriter(settings, store_url)

    def write(producer: Producer, entries: Sequence[Entry], lost: int) -> int:
        """Commit and lose the answer, write only a part, or have the session killed."""
        fate = dice.random()
        if fate < 0.2:
            raise StoreAway("not even tried")
        if fate < 0.4 and entries:
            return writer.write(producer, entries[: dice.randrange(1, len(entries) + 1)], lost)
        answer = writer.write(producer, entries, lost)
        if fate < 0.7:
            raise StoreAway("the answer was lost")
        return answer

    stop = threading.Event()
    killer = threading.Thread(target=_kill_sessions, args=(store_url, stop))
    killer.start()
    shipper = LogShipper("INFO")
    shipper.connect(write, tmp_path / "spill", hang_up=writer.close)

    def say(thread: int) -> None:
        for number in range(4000):
            event = {"event": "said", "level": "info", "thread": thread, "number": number}
            shipper.take({"timestamp": datetime.now(UTC).isoformat(), **event})
            if number % 400 == 0:
                time.sleep(0.1)

    threads = [threading.Thread(target=say, args=(thread,)) for thread in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flushed = shipper.flush(60)
    stop.set()
    killer.join()
    shipper.close()
    assert flushed
    rows = logged("event = 'said'")
    assert [row["sequence"] for row in rows] == list(range(1, 12_001))
    for speaker in range(3):
        numbers = [row["fields"]["number"] for row in rows if row["fields"]["thread"] == speaker]
        assert numbers == list(range(4000))


def _kill_sessions(url: str, stop: threading.Event) -> None:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        while not stop.wait(0.15):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'whalefall log' AND datname = current_database()"
            )


def test_who_speaks_is_not_held_up_by_a_store_that_hangs(
    shipped: Shipping, logged: Logged, store_url: str, settings: Settings
) -> None:
    conninfo = store_url.replace("+psycopg", "", 1)
    slowest = 0.0
    with shipped(log_level="INFO") as shipper:
        with psycopg.connect(conninfo) as blocker:
            blocker.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
            until = time.monotonic() + 3.5
            said = 0
            while time.monotonic() < until:
                before = time.perf_counter()
                shipper.take(
                    {
                        "timestamp": datetime.now(UTC).isoformat(),
                        "level": "info",
                        "event": "said",
                        "number": said,
                    }
                )
                slowest = max(slowest, time.perf_counter() - before)
                said += 1
                time.sleep(0.001)
            (file,) = (settings.data_dir / FOLDER).iterdir()
            assert file.stat().st_size > 10_000
        assert shipper.flush(30)
    assert slowest < 10 * LONGEST_WAIT_SECONDS
    assert [row["fields"]["number"] for row in logged("event = 'said'")] == list(range(said))


def test_an_absence_leaves_one_entry_when_it_is_over(
    shipped: Shipping, logged: Logged, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    conninfo = store_url.replace("+psycopg", "", 1)
    database = store_url.rsplit("/", 1)[1].split("?")[0]
    server = conninfo.replace(f"/{database}?", "/postgres?")
    with shipped() as shipper:
        get_system_logger().info("before")
        assert shipper.flush(10)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )
            get_system_logger().info("meanwhile")
            time.sleep(2.5)
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        assert shipper.flush(20)
        time.sleep(0.5)
    console = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert sum("does not answer" in event for event in console) == 1
    *said, told = logged()
    assert [row["event"] for row in said] == ["before", "meanwhile"]
    assert told["module"] == "log_centre"
    assert told["fields"]["entries_from_file"] == 1
    assert told["fields"]["lost_count"] == 0
    assert told["fields"]["seconds"] > 1


def test_an_entry_that_the_store_refuses_is_replaced_by_one_that_says_so(
    settings: Settings, store_url: str, logged: Logged
) -> None:
    writer = LogWriter(settings, store_url)
    records = [b'{"event":"fine","n":%d}' % number for number in range(20)]
    records[7] = b'{"event":"bad","text":"\\u0000"}'
    records[13] = b'{"event": torn'
    entries = [Entry(number, record) for number, record in enumerate(records, 1)]
    assert writer.write(Producer(), entries, 3) == 20
    writer.close()
    rows = logged()
    assert [row["sequence"] for row in rows] == list(range(1, 21))
    assert [row["event"] for row in rows if row["event"] != "fine"] == [
        "A log entry could not be stored",
        "A log entry cannot be read",
    ]
    with psycopg.connect(store_url.replace("+psycopg", "", 1)) as connection:
        assert connection.execute("SELECT lost_count FROM log_producers").fetchone() == (3,)


def test_entries_of_earlier_days_get_their_partition_and_expired_ones_none(
    settings: Settings, store_url: str, logged: Logged
) -> None:
    writer = LogWriter(settings, store_url)
    now = datetime.now(UTC)
    entries = [
        Entry(
            number,
            json.dumps(
                {
                    "event": str(days),
                    "level": "info",
                    "timestamp": (now - timedelta(days=days)).isoformat(),
                }
            ).encode(),
        )
        for number, days in enumerate((0, 5, 500, -400), 1)
    ]
    writer.write(Producer(), entries, 0)
    writer.close()
    partitions = {row["event"]: row["partition"] for row in logged()}
    day = (now - timedelta(days=5)).strftime("%Y_%m_%d")
    assert partitions == {
        "0": now.strftime("log_entries_info_%Y_%m_%d"),
        "5": f"log_entries_info_{day}",
        "500": "log_entries_info_default",
        "-400": "log_entries_info_default",
    }


def test_nothing_is_sent_if_nobody_wants_it(shipped: Shipping, logged: Logged) -> None:
    with shipped(log_to_store=False):
        get_system_logger().error("for the console only")
    assert logged() == []


def test_the_application_does_not_share_its_connections(
    app: Flask,  # noqa: ARG001 - its context
    shipped: Shipping,
    logged: Logged,
) -> None:
    from app.models import db

    with shipped() as shipper:
        before = db.engine.pool.checkedout()  # type: ignore[attr-defined] # of a queue pool
        get_system_logger().info("said")
        assert shipper.flush(10)
        assert db.engine.pool.checkedout() == before  # type: ignore[attr-defined]
    assert len(logged()) == 1
