"""A million entries of several threads, while the store is stopped and started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.config import Settings
from app.services.log_centre import shipping
from app.services.store import store_service
from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.log_queue import LONGEST_WAIT_SECONDS
from app.utils.log_shipping import LogShipper
from app.utils.postgres_binaries import embedded_postgres

ENTRIES = 1_000_000
THREADS = 4


@pytest.fixture
def store_of_its_own(public_tmp: Path) -> Iterator[EmbeddedPostgres]:
    server = embedded_postgres(public_tmp / "logs", durable=False)
    server.start()
    store_service.upgrade(server.url)
    try:
        yield server
    finally:
        server.stop()


def _say(shipper: LogShipper, thread: int, count: int, slowest: list[float]) -> None:
    longest = 0.0
    for number in range(count):
        event = {
            "timestamp": "2026-05-01T00:00:00Z",
            "level": "info",
            "logger": "whalefall",
            "event": "counted",
            "thread": thread,
            "number": number,
        }
        before = time.perf_counter()
        shipper.take(event)
        longest = max(longest, time.perf_counter() - before)
    slowest.append(longest)


@pytest.mark.timeout(280)
def test_all_are_there_in_order_none_twice_and_nobody_waited(
    store_of_its_own: EmbeddedPostgres, tmp_path: Path
) -> None:
    server = store_of_its_own
    settings = Settings(database_url=server.url, data_dir=tmp_path)
    shipper = LogShipper("INFO")
    shipping.connect(shipper, settings, server.url)
    slowest: list[float] = []
    started = time.monotonic()
    threads = [
        threading.Thread(target=_say, args=(shipper, thread, ENTRIES // THREADS, slowest))
        for thread in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    server.stop()
    for thread in threads:
        thread.join()
    said = time.monotonic() - started
    server.start()
    assert shipper.flush(240)
    print(f"said in {said:.1f} s, all there after {time.monotonic() - started:.1f} s", slowest)
    shipper.close()

    assert shipper.queue.lost_count == 0
    assert max(slowest) < 10 * LONGEST_WAIT_SECONDS
    assert not list((tmp_path / "log-spill").iterdir())
    with psycopg.connect(server.conninfo) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence),"
            " count(*) FILTER (WHERE number <> expected)"
            " FROM (SELECT sequence, (fields->>'number')::bigint AS number,"
            "  row_number() OVER (PARTITION BY fields->>'thread' ORDER BY sequence) - 1 AS expected"
            "  FROM log_entries WHERE event = 'counted') AS entry"
        ).fetchone()
    assert row == (ENTRIES, ENTRIES, 1, ENTRIES, 0)
