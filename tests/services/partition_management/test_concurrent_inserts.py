"""Whoever writes while partitions are made, drained and dropped loses nothing and is not failed."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.repositories.partitions import ensure_partition
from app.services.partition_management.partition_management_service import (
    PartitionManagementService,
)
from tests.services.partition_management.conftest import NOW, Ask, drop_all, month, observed

WRITERS = 4
INSERT = (
    "INSERT INTO account_changes (occurred_at, instance_id, kind, raised, diff)"
    " VALUES (%s, %s, 'x', false, '{}')"
)


@pytest.mark.parametrize("ensures", [False, True], ids=["plain inserts", "inserts that ensure"])
def test_inserts_of_any_time_are_all_there_and_none_failed(
    service: PartitionManagementService,
    app: Flask,
    ask: Ask,
    store_url: str,
    conninfo: str,
    ensures: bool,
) -> None:
    drop_all(ask, "account_changes")
    ask("CREATE TABLE account_changes_default PARTITION OF account_changes DEFAULT")
    stop = threading.Event()

    def write(number: int) -> tuple[int, float]:
        chance = random.Random(number)  # noqa: S311 - the same times in every test
        written, longest = 0, 0.0
        while not stop.is_set():
            moments = [
                NOW + timedelta(days=chance.choice([0, 0, -900, 900]), hours=chance.randint(-9, 9))
                for _ in range(3)
            ]
            started = time.monotonic()
            insert(moments, number)
            longest = max(longest, time.monotonic() - started)
            written += len(moments)
        return written, longest

    def plainly(moments: list, number: int) -> None:  # type: ignore[type-arg]
        with psycopg.connect(conninfo) as connection:
            for moment in moments:
                connection.execute(INSERT, (moment, number))

    engine = create_engine(store_url, poolclass=NullPool)

    def ensured(moments: list, number: int) -> None:  # type: ignore[type-arg]
        with engine.begin() as connection:
            for moment in moments:
                ensure_partition(connection, "account_changes", moment)
            connection.exec_driver_sql("SELECT 1")
            for moment in moments:
                connection.execute(
                    text(
                        "INSERT INTO account_changes (occurred_at, instance_id, kind, raised,"
                        " diff) VALUES (:moment, :number, 'x', false, '{}')"
                    ),
                    {"moment": moment, "number": number},
                )

    insert = ensured if ensures else plainly
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            with app.app_context():
                for n in range(4):
                    report = service.manage_as_of(
                        NOW + timedelta(days=31 * n), tables=["account_changes"]
                    )
                    time.sleep(0.1)
        finally:
            stop.set()
        results = [writer.result() for writer in writers]
    written = sum(count for count, _ in results)
    assert ask("SELECT count(*) FROM account_changes") == [(written,)]
    assert report.runway_days["account_changes"] > 80
    print(f"\n{written} rows; the longest transaction took {max(s for _, s in results):.2f} s")
    assert service.manage_as_of(NOW + timedelta(days=93), tables=["account_changes"]).failed == []
    assert ask("SELECT count(*) FROM account_changes_default") == [(0,)]
    assert ask("SELECT count(*) FROM account_changes") == [(written,)]


def test_a_writer_waits_for_no_drop_longer_than_a_lock_is_waited_for(
    service: PartitionManagementService, ask: Ask, conninfo: str
) -> None:
    """Behind a long reader our drop waits in the queue, and every writer behind it."""
    service.patience = type(service.patience)(first_ms=300, further_ms=200, pauses_seconds=(0.2,))
    month(ask, "1990-01", "1990-02")
    longest = 0.0
    with psycopg.connect(conninfo) as reader, ThreadPoolExecutor(1) as pool:
        reader.execute("SELECT count(*) FROM scope_observations")
        stop = threading.Event()

        def write() -> float:
            slowest = 0.0
            while not stop.is_set():
                started = time.monotonic()
                observed(ask, NOW.isoformat())
                slowest = max(slowest, time.monotonic() - started)
            return slowest

        writing = pool.submit(write)
        try:
            report = service.manage_as_of(NOW, tables=["scope_observations"])
        finally:
            stop.set()
        longest = writing.result()
    assert [one.partition for one in report.failed] == ["scope_observations_1990_01"]
    assert longest < 5
