"""Which periods have been computed, which are sealed, and which have to be computed (again)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg import Connection

from app.constants.capacity import Period
from app.utils.sql_files import load_sql

_PACKAGE = "app.repositories.sql"

Marks = Mapping[date, Sequence[int]]
"""By the first day of a period: the instances of which it is dirty."""


class Computed(NamedTuple):
    """A row of ``capacity_periods``."""

    period: str
    start_on: date
    starts_at: datetime
    ends_at: datetime
    computed_at: datetime
    sealed_at: datetime | None
    expired_at: datetime | None


def mark_dirty(
    connection: Connection[Any], period: Period, start_on: date, instance_id: int
) -> None:
    """Say that a period of an instance has to be computed; the last statement of who wrote rows.

    Marks are only inserted and deleted, so that nobody waits for anybody.
    """
    connection.execute(
        "INSERT INTO dirty_periods (period, start_on, instance_id) VALUES (%s, %s, %s)",
        (period, start_on, instance_id),
    )


def mark_each(connection: Connection[Any], marks: Iterable[tuple[Period, date, int]]) -> None:
    """Say that many periods have to be computed: (period, its first day, instance)."""
    rows = sorted(set(marks))
    if rows:
        connection.execute(
            "INSERT INTO dirty_periods (period, start_on, instance_id)"
            " SELECT * FROM unnest(%s::text[], %s::date[], %s::integer[])",
            tuple(map(list, zip(*rows, strict=True))),
        )


def dirty_starts(connection: Connection[Any], period: Period) -> list[date]:
    """Return the first days of the periods that have to be computed, the oldest first."""
    rows = connection.execute(
        "SELECT DISTINCT start_on FROM dirty_periods WHERE period = %s ORDER BY start_on",
        (period,),
    )
    return [row[0] for row in rows]


def take_marks(connection: Connection[Any], period: Period, starts: Sequence[date]) -> Marks:
    """Delete the marks of some periods, and return of which instances they were."""
    rows = connection.execute(
        "WITH taken AS (DELETE FROM dirty_periods WHERE period = %s AND start_on = ANY (%s)"
        " RETURNING start_on, instance_id)"
        " SELECT start_on, array_agg(DISTINCT instance_id) FROM taken"
        " GROUP BY start_on ORDER BY start_on",
        (period, list(starts)),
    )
    return dict(rows.fetchall())


def computed(
    connection: Connection[Any], period: Period, first: date, last: date
) -> dict[date, Computed]:
    """Return the computed periods that start within some days, by their first day."""
    rows = connection.execute(
        f"SELECT {', '.join(Computed._fields)} FROM capacity_periods"  # noqa: S608 - names of columns
        " WHERE period = %s AND start_on BETWEEN %s AND %s ORDER BY start_on",
        (period, first, last),
    )
    return {row.start_on: row for row in map(Computed._make, rows.fetchall())}


def record(
    connection: Connection[Any],
    period: Period,
    bounds_of: Mapping[date, tuple[datetime, datetime]],
) -> int:
    """Write that periods have been computed just now, within these bounds; their seal is off.

    Returns how many were written. One that has expired in the meantime is not: whoever computed it
    from samples has seen only some of them. The samples must have been read before this is asked,
    so that no partition of them can be dropped from now to the end of the transaction.
    """
    return connection.execute(
        "INSERT INTO capacity_periods (period, start_on, starts_at, ends_at, computed_at)"
        " SELECT %s, start_on, starts_at, ends_at, clock_timestamp()"
        " FROM unnest(%s::date[], %s::timestamptz[], %s::timestamptz[])"
        " AS computed (start_on, starts_at, ends_at)"
        " ON CONFLICT (period, start_on) DO UPDATE SET starts_at = excluded.starts_at,"
        " ends_at = excluded.ends_at, computed_at = excluded.computed_at, sealed_at = NULL"
        " WHERE capacity_periods.expired_at IS NULL",
        (
            period,
            list(bounds_of),
            [starts_at for starts_at, _ in bounds_of.values()],
            [ends_at for _, ends_at in bounds_of.values()],
        ),
    ).rowcount


def touch(connection: Connection[Any], period: Period, start_on: date) -> None:
    """Write that a period that has expired was merged with something just now; its seal is off."""
    connection.execute(
        "UPDATE capacity_periods SET computed_at = clock_timestamp(), sealed_at = NULL"
        " WHERE period = %s AND start_on = %s",
        (period, start_on),
    )


def unseal(connection: Connection[Any]) -> int:
    """Take the seal from every period of which something is dirty; return how many."""
    return connection.execute(load_sql(_PACKAGE, "unseal_periods.sql")).rowcount


def seal(connection: Connection[Any], ended_before: datetime) -> int:
    """Seal what ended before a moment and is complete; return how many periods."""
    return connection.execute(
        load_sql(_PACKAGE, "seal_periods.sql"), {"ended_before": ended_before}
    ).rowcount


def first_day(connection: Connection[Any]) -> date | None:
    """Return the earliest day that was ever computed."""
    row = connection.execute(
        "SELECT min(start_on) FROM capacity_periods WHERE period = 'day'"
    ).fetchone()
    return row[0] if row else None


def instances_by_day(
    connection: Connection[Any], first: date, edges: Sequence[datetime]
) -> list[tuple[date, int]]:
    """Return (day, instance) of everything that there is of some days in a row.

    Args:
        connection: To the store.
        first: The first day.
        edges: The midnights around the days, one more than there are days.

    """
    rows = connection.execute(
        load_sql(_PACKAGE, "instances_by_day.sql"),
        {
            "first_day": first,
            "edges": list(edges),
            "starts_at": edges[0],
            "ends_at": edges[-1],
        },
    )
    return rows.fetchall()
