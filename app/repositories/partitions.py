"""Partitions of the store's time series: what they are called, and making one that is missing."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

from app.constants.partitions import POLICIES, PartitionPolicy, Step

_FORMAT = {Step.DAY: "%Y_%m_%d", Step.MONTH: "%Y_%m", Step.YEAR: "%Y"}

_seen: set[tuple[str, str]] = set()
_seen_lock = threading.Lock()


def bounds_of(step: Step, moment: datetime) -> tuple[datetime, datetime]:
    """Return the first instant of the moment's step and of the next one, in UTC."""
    first = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if step is Step.DAY:
        return first, first + timedelta(days=1)
    if step is Step.MONTH:
        first = first.replace(day=1)
        return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    first = first.replace(month=1, day=1)
    return first, first.replace(year=first.year + 1)


def partition_name(table: str, moment: datetime) -> str:
    """Return the partition that holds the moment, for example account_changes_2026_01."""
    step = POLICIES[table].step
    return f"{table}_{bounds_of(step, moment)[0].strftime(_FORMAT[step])}"


def day_moment(day: date) -> datetime:
    """Return the moment by which the partition of a day's rows is found, for tables of days."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def ensure_ahead(connection: Connection, moment: datetime) -> None:
    """Make the partitions of the present and of what is ahead, for every table."""
    for policy in POLICIES.values():
        wanted = moment
        for _ in range(policy.ahead + 1):
            ensure_partition(connection, policy.table, wanted)
            wanted = bounds_of(policy.step, wanted)[1]


def ensure_partition(connection: Connection, table: str, moment: datetime) -> None:
    """Make the partition of the moment if it is missing; free when seen before.

    Rows of that time which the default partition took meanwhile are moved. The work belongs to the
    caller's transaction, and whoever else needs the same partition waits for its end.
    """
    name = partition_name(table, moment)
    key = (str(connection.engine.url), name)
    if key in _seen:
        return
    if not _exists(connection, name):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('whalefall partition ' || :t, 0))"),
            {"t": table},
        )
        if not _exists(connection, name):
            _create(connection, POLICIES[table], name, moment)
        return  # not remembered: the caller may still roll back
    with _seen_lock:
        _seen.add(key)


def bound(policy: PartitionPolicy, moment: datetime) -> str:
    """Return a bound as DDL writes it."""
    return moment.date().isoformat() if policy.of_days else moment.isoformat()


def _exists(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}))


def _create(connection: Connection, policy: PartitionPolicy, name: str, moment: datetime) -> None:
    table, column = policy.table, policy.column
    first, following = (bound(policy, edge) for edge in bounds_of(policy.step, moment))
    inside = f"{column} >= '{first}' AND {column} < '{following}'"
    connection.execute(
        text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    )
    connection.execute(text(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"))
    connection.execute(
        text(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {inside} RETURNING *) "  # noqa: S608 - names of ours
            f"INSERT INTO {name} SELECT * FROM moved"
        )
    )
    connection.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{first}') TO ('{following}')"
        )
    )
