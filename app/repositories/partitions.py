"""Month partitions of the ledger's time series."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from sqlalchemy import Connection, text

TIME_COLUMN = {"account_changes": "occurred_at", "scope_observations": "observed_at"}
"""The tables that are partitioned by month, and by which column."""

MONTHS_AHEAD = 2

_seen: set[tuple[str, str]] = set()
_seen_lock = threading.Lock()


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """Return the first instant of the moment's month and of the next one, in UTC."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, _next_month(first)


def _next_month(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def partition_name(table: str, moment: datetime) -> str:
    """Return the partition that holds the moment, for example account_changes_2026_01."""
    return f"{table}_{month_of(moment)[0]:%Y_%m}"


def ensure_months_ahead(connection: Connection, moment: datetime) -> None:
    """Make the partitions of the moment's month and the next two, for every table that has them."""
    for table in TIME_COLUMN:
        wanted = moment
        for _ in range(MONTHS_AHEAD + 1):
            ensure_month_partition(connection, table, wanted)
            wanted = month_of(wanted)[1]


def ensure_month_partition(connection: Connection, table: str, moment: datetime) -> None:
    """Make the partition of the moment's month if it is missing; free when seen before.

    Rows of that month which the default partition took meanwhile are moved. The work belongs to the
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
            _create(connection, table, name, moment)
        return  # not remembered: the caller may still roll back
    with _seen_lock:
        _seen.add(key)


def _exists(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}))


def _create(connection: Connection, table: str, name: str, moment: datetime) -> None:
    column = TIME_COLUMN[table]
    first, following = month_of(moment)
    bounds = {"first": first, "following": following}
    inside = f"{column} >= :first AND {column} < :following"
    connection.execute(
        text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    )
    connection.execute(text(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"))
    connection.execute(
        text(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {inside} RETURNING *) "  # noqa: S608 - names of ours
            f"INSERT INTO {name} SELECT * FROM moved"
        ),
        bounds,
    )
    connection.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{first.isoformat()}') TO ('{following.isoformat()}')"
        )
    )
