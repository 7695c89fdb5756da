"""What capacity aggregation costs: cases for ``python -m benchmarks.capacity``.

The plain way is one statement: ``INSERT … SELECT … GROUP BY`` of count, sum, min and max by object
and day, into a table without any index. An aggregation computes the same, and the first and the
last size, what was expected and what was estimated, keeps it under a primary key in partitions, and
goes on to weeks, months and quarters.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from psycopg import Connection

from app.constants.capacity import Period
from app.models import db
from app.repositories import capacity_periods
from app.repositories.capacity_rollups import TABLES
from app.repositories.partitions import ensure_partition
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.utils.periods import day_of
from benchmarks.report import Bench, Figure
from benchmarks.syncing import application

START = datetime(2025, 1, 5, 16, tzinfo=UTC)
"""Midnight in the default zone, of 6 January."""
AIM = "≤ 2 × plain"


def databases_of_ninety_days(bench: Bench) -> list[Figure]:
    """Databases of many instances over 90 days, collected hourly and daily."""
    instances, days = (10, 20) if bench.quick else (50, 90)
    figures = []
    for samples, word in ((24, "hourly"), (1, "daily")):
        with _store(bench) as connection:
            bench.say(f"{instances} × 20 databases × {days} days, {word}: making the samples")
            _register(connection, instances, databases=20)
            _collect(connection, days, samples, "database_sizes", "database_id")
            figures += _against_plain(
                connection,
                f"{instances} instances × 20 databases × {days} days, {word}",
                "database_sizes",
                "database_id",
            )
    return figures


def relations(bench: Bench) -> list[Figure]:
    """Ten million sizes of relations, collected hourly and daily."""
    days = 3 if bench.quick else 30
    figures = []
    for samples, relations, word in ((24, 13_889, "hourly"), (1, 111_112, "daily")):
        with _store(bench) as connection:
            rows = days * samples * relations
            bench.say(f"{rows:,} sizes of relations, {word}: making them")
            _register(connection, 10, databases=2, relations=relations)
            _collect(connection, days, samples, "relation_sizes", "relation_id")
            figures += _against_plain(
                connection,
                f"{rows:,} sizes of {relations:,} relations, {word} over {days} days",
                "relation_sizes",
                "relation_id",
            )
    return figures


def a_new_day(bench: Bench) -> list[Figure]:
    """One more day, after histories of different lengths, hourly sizes of relations."""
    histories = (5, 20) if bench.quick else (10, 90, 360)
    relations = 200 if bench.quick else 1_000
    figures = []
    for history in histories:
        with _store(bench) as connection:
            bench.say(f"{history} days of {relations} relations: making them")
            _register(connection, 10, databases=2, relations=relations)
            # each ends on the same day: so the weeks and months to merge are the same
            first = max(histories) - history
            _collect(connection, history, 24, "relation_sizes", "relation_id", first=first)
            capacity_aggregation_service.aggregate()
            seconds = []
            for day in range(3):
                _collect(
                    connection, 1, 24, "relation_sizes", "relation_id", first=max(histories) + day
                )
                seconds.append(_aggregated())
            figures.append(
                Figure(
                    f"one more day of {relations:,} relations, hourly, after {history} days",
                    f"{statistics.median(seconds) * 1000:.0f} ms",
                    "the same for each history",
                )
            )
    return figures


@contextmanager
def _store(bench: Bench) -> Iterator[Connection[Any]]:
    with bench.store.fresh() as url, application(url, bench.place / "data"):
        yield _connection()


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


def _register(
    connection: Connection[Any], instances: int, *, databases: int, relations: int = 0
) -> None:
    """Make instances, their databases, and relations spread over all of them."""
    connection.execute(
        "WITH login AS (INSERT INTO credentials (name, username, secret)"
        " VALUES ('login', 'login', '') RETURNING id)"
        " INSERT INTO instances (name, engine, host, port, tls_mode, credential_id)"
        " SELECT 'server ' || n, 'postgresql', 'host', 5432, 'disable', id"
        " FROM login, generate_series(1, %s) AS n",
        (instances,),
    )
    connection.execute(
        "INSERT INTO databases (instance_id, engine_key, name, first_seen_at)"
        " SELECT i.id, n, 'database ' || n, %s FROM instances AS i, generate_series(1, %s) AS n"
        " ORDER BY n, i.id",
        (START, databases),
    )
    connection.execute(
        "INSERT INTO relations (database_id, engine_key, name, kind, first_seen_at)"
        " SELECT n %% %s + 1, n, 'relation ' || n, 'table', %s FROM generate_series(1, %s) AS n",
        (instances * databases, START, relations),
    )
    db.session.commit()


def _collect(
    connection: Connection[Any], days: int, samples: int, table: str, key: str, *, first: int = 0
) -> None:
    """Write samples as collections do, all instances at about the same time, and their marks."""
    for day in range(first, first + days):
        begun = START + timedelta(days=day)
        for name in TABLES:
            for moment in (begun, begun + timedelta(hours=23)):
                ensure_partition(db.session.connection(), name, moment)
        moments = (
            "(SELECT i.id AS instance_id, %(begun)s + i.id * interval '1 second'"
            f" + n * interval '{24 // samples} hours' AS collected_at"
            f" FROM instances AS i, generate_series(0, {samples - 1}) AS n) AS c"
        )
        connection.execute(
            "INSERT INTO capacity_collections (instance_id, collected_at, run_item_id)"
            f" SELECT instance_id, collected_at, 0 FROM {moments}",
            {"begun": begun},
        )
        if table == "relation_sizes":
            connection.execute(
                "INSERT INTO relation_sizes (collected_at, exact_at, total_bytes, data_bytes,"
                " index_bytes, database_id, relation_id)"
                " SELECT collected_at, collected_at, r.id * 1000000::bigint + %(day)s * 8192, 1, 1,"
                f" d.id, r.id FROM {moments} JOIN databases AS d USING (instance_id)"
                " JOIN relations AS r ON r.database_id = d.id ORDER BY collected_at",
                {"begun": begun, "day": day},
            )
        else:
            connection.execute(
                f"INSERT INTO {table} (collected_at, total_bytes, instance_id, {key})"
                " SELECT collected_at, d.id * 1000000::bigint + %(day)s * 8192, d.instance_id, d.id"
                f" FROM {moments} JOIN databases AS d USING (instance_id) ORDER BY collected_at",
                {"begun": begun, "day": day},
            )
        instances = connection.execute("SELECT id FROM instances").fetchall()
        capacity_periods.mark_each(
            connection,
            ((Period.DAY, day_of(begun, _zone()), row[0]) for row in instances),
        )
        db.session.commit()
    connection.execute("COMMIT")
    connection.autocommit = True
    connection.execute(f"VACUUM (ANALYZE) {table}, capacity_collections, relations, databases")
    connection.autocommit = False


def _zone() -> Any:
    from app.config import current_settings

    return current_settings().zone


def _against_plain(connection: Connection[Any], what: str, table: str, key: str) -> list[Figure]:
    plain = [_plain(connection, table, key) for _ in range(2)]
    ours = _aggregated()
    plain.append(_plain(connection, table, key))
    usual = statistics.median(plain)
    return [
        Figure(f"{what}: plain statement", f"{usual:.2f} s"),
        Figure(f"{what}: aggregation", f"{ours:.2f} s, {ours / usual:.2f} × plain", AIM),
    ]


def _plain(connection: Connection[Any], table: str, key: str) -> float:
    connection = _connection()
    connection.execute("DROP TABLE IF EXISTS plain")
    connection.execute(
        "CREATE TABLE plain (object_id integer, day date, seen integer, sum_bytes numeric,"
        " min_bytes bigint, max_bytes bigint)"
    )
    db.session.commit()
    connection = _connection()
    connection.execute("SET LOCAL TimeZone = 'Asia/Shanghai'")
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute("SET LOCAL jit = off")
    started = perf_counter()
    connection.execute(
        f"INSERT INTO plain SELECT {key}, date_trunc('day', collected_at), count(*),"
        f" sum(total_bytes), min(total_bytes), max(total_bytes) FROM {table} GROUP BY 1, 2"
    )
    db.session.commit()
    return perf_counter() - started


def _aggregated() -> float:
    started = perf_counter()
    result = capacity_aggregation_service.aggregate()
    seconds = perf_counter() - started
    if result["failed_count"] or not result["days"]:
        raise RuntimeError(f"the aggregation did not end as it should have: {result}")
    return seconds


CASES = {
    "c": databases_of_ninety_days,
    "d": relations,
    "e": a_new_day,
}
"""For ``benchmarks.capacity``; the letters are those of its report."""

if __name__ == "__main__":
    from benchmarks.report import report

    report("aggregating", __doc__, CASES, "")
