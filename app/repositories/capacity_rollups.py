"""States of objects over periods: computing them from samples, merging them, and their growth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection

from app.constants.capacity import Period, Scope
from app.repositories.capacity_periods import Marks
from app.utils.sql_files import load_sql

_PACKAGE = "app.repositories.sql"

ROLLUPS_KEY = 0x5748_414C_0002
"""Advisory lock: "WHAL", 2. Who holds it computes periods."""
SAMPLES_OF = {
    Scope.INSTANCE: "instance_sizes",
    Scope.DATABASE: "database_sizes",
    Scope.RELATION: "relation_sizes",
    Scope.STORAGE: "storage_sizes",
}
"""The table of each scope's samples."""
COLLECTIONS = "capacity_collections"
TABLES = (COLLECTIONS, *SAMPLES_OF.values())
DAYS = "capacity_rollups_day"
_SETTINGS = (
    "SELECT set_config('work_mem', '128MB', true), set_config('jit', 'off', true),"
    # it would sort all samples only to find that none of them has to be looked up
    " set_config('enable_mergejoin', 'off', true),"
    # what a crash of the store takes away it takes with its marks given back
    " set_config('synchronous_commit', 'off', true)"
)
PARTS_COLUMNS = (
    "scope text, instance_id integer, object_id integer, late boolean NOT NULL DEFAULT false,"
    " seen integer, expected integer, estimated integer, sum_bytes numeric, min_bytes bigint,"
    " max_bytes bigint, first_bytes bigint, first_at timestamptz, last_bytes bigint,"
    " last_at timestamptz"
)


def begin(connection: Connection[Any]) -> None:
    """Begin a transaction that computes: wait for any other one, and take memory for it."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (ROLLUPS_KEY,))
    connection.execute(_SETTINGS)


def others_collected(
    connection: Connection[Any], first: date, edges: Sequence[datetime], marks: Marks
) -> bool:
    """Return whether instances without a mark were collected in days that have one.

    Args:
        connection: To the store.
        first: The first day.
        edges: The midnights around the days, one more than there are days.
        marks: The instances to compute, by day.

    """
    days, instances = _pairs(first, marks)
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM capacity_collections"
        " WHERE collected_at >= %s AND collected_at < %s"
        " AND (width_bucket(collected_at, %s::timestamptz[]), instance_id)"
        " NOT IN (SELECT * FROM unnest(%s::integer[], %s::integer[])))",
        (edges[0], edges[-1], list(edges), days, instances),
    ).fetchone()
    return bool(row and row[0])


def forget_days(connection: Connection[Any], marks: Marks, *, everything: bool) -> None:
    """Delete the states of the marked instances, or of all, of the marked days."""
    where = "start_on = ANY (%(starts)s)"
    if not everything:
        where += (
            " AND ((start_on, instance_id) IN"
            " (SELECT * FROM unnest(%(days)s::date[], %(instances)s::integer[]))) IS TRUE"
        )
    connection.execute(
        f"DELETE FROM capacity_rollups_day WHERE {where}",  # noqa: S608 - the constants above
        {
            "starts": list(marks),
            "days": [day for day, ids in marks.items() for _ in ids],
            "instances": [one for ids in marks.values() for one in ids],
        },
    )


def roll_up_days(
    connection: Connection[Any],
    first: date,
    edges: Sequence[datetime],
    marks: Marks,
    *,
    everything: bool,
) -> int:
    """Compute the states of days in a row from their samples; return how many.

    Args:
        connection: To the store.
        first: The first day.
        edges: The midnights around the days, one more than there are days.
        marks: The instances to compute, by day.
        everything: Every instance has a mark of every day.

    """
    days, instances = _pairs(first, marks)
    return connection.execute(
        load_sql(_PACKAGE, "roll_up_days.sql"),
        {
            "first_day": first,
            "edges": list(edges),
            "starts_at": edges[0],
            "ends_at": edges[-1],
            "everything": everything,
            "dirty_days": days,
            "dirty_instances": instances,
        },
        prepare=False,  # a plan made for any days would look into every partition
    ).rowcount


def add_days(
    connection: Connection[Any],
    period: Period,
    starts: Sequence[date],
    days: Sequence[date],
    instances: Sequence[int],
) -> int:
    """Merge days into weeks or months that they were not in until now; return how many states.

    Args:
        connection: To the store.
        period: Week or month.
        starts: The first days of those to change; days of others are left out.
        days: Days that were computed for the first time.
        instances: Whose.

    """
    return connection.execute(
        load_sql(_PACKAGE, "add_days.sql"),
        {
            "period": period,
            "starts": list(starts),
            "days": list(days),
            "instances": list(instances),
        },
        prepare=False,
    ).rowcount


def merge(
    connection: Connection[Any],
    period: Period,
    inner: Period,
    first: date,
    after_last: date,
    marks: Marks,
) -> int:
    """Compute states of weeks, months or quarters anew from the periods within them.

    Args:
        connection: To the store.
        period: What to compute.
        inner: What it is merged from.
        first: The first day of the first one.
        after_last: The day after the last one.
        marks: The instances to compute, by the first day of the period.

    """
    pairs = [(start, instance) for start, ids in marks.items() for instance in ids]
    wanted = {
        "period": period,
        "inner_period": inner,
        "first": first,
        "after_last": after_last,
        "dirty_starts": [start for start, _ in pairs],
        "dirty_instances": [instance for _, instance in pairs],
    }
    connection.execute(
        "DELETE FROM capacity_rollups WHERE period = %(period)s"
        " AND start_on >= %(first)s AND start_on < %(after_last)s"
        " AND ((start_on, instance_id) IN (SELECT * FROM"
        " unnest(%(dirty_starts)s::date[], %(dirty_instances)s::integer[]))) IS TRUE",
        wanted,
        prepare=False,
    )
    return connection.execute(
        load_sql(_PACKAGE, "merge_periods.sql"), wanted, prepare=False
    ).rowcount


def collect_parts(
    connection: Connection[Any],
    starts_at: datetime,
    ends_at: datetime,
    *,
    tables: Sequence[str],
    late: Sequence[str] = (),
    instances: Sequence[int] | None = None,
) -> None:
    """Write what there is of a span into the transaction's own table ``day_parts``.

    Args:
        connection: To the store.
        starts_at: The first moment.
        ends_at: The moment after the last.
        tables: What to read.
        late: Those of which rows are taken away, because they are counted nowhere else.
        instances: Only these; None: all.

    """
    connection.execute(f"CREATE TEMPORARY TABLE day_parts ({PARTS_COLUMNS}) ON COMMIT DROP")
    connection.execute(
        load_sql(_PACKAGE, "collect_parts.sql"),
        {
            "starts_at": starts_at,
            "ends_at": ends_at,
            "tables": list(tables),
            "late": list(late),
            "everything": instances is None,
            "instances": list(instances or ()),
        },
        prepare=False,
    )


def add_residues(
    connection: Connection[Any], day: date, tables: Sequence[str], instances: Sequence[int]
) -> None:
    """Add what is gone of a day, but was kept as states, to the collected parts."""
    columns = (
        "scope, instance_id, object_id, seen, expected, estimated, sum_bytes, min_bytes,"
        " max_bytes, first_bytes, first_at, last_bytes, last_at"
    )
    connection.execute(
        f"INSERT INTO day_parts ({columns}) SELECT {columns} FROM capacity_residues"  # noqa: S608 - names of columns
        " WHERE start_on = %s AND table_name = ANY (%s) AND instance_id = ANY (%s)",
        (day, list(tables), list(instances)),
    )


def merge_parts(
    connection: Connection[Any],
    period: Period,
    start_on: date,
    instances: Sequence[int],
    *,
    kept: Sequence[Scope],
    expected_kept: bool,
    only_late: bool,
) -> None:
    """Merge collected parts into one period that cannot be computed anew.

    Args:
        connection: To the store.
        period: Which one.
        start_on: Its first day.
        instances: Whose states.
        kept: Scopes whose former sizes are kept and merged; others come from the parts alone.
        expected_kept: Whether the same is true of what was expected.
        only_late: Leave out parts that the period knows already.

    """
    connection.execute(
        load_sql(_PACKAGE, "merge_parts.sql"),
        {
            "period": period,
            "start_on": start_on,
            "instances": list(instances),
            "kept_scopes": list(kept),
            "expected_kept": expected_kept,
            "only_late": only_late,
        },
        prepare=False,
    )


def _pairs(first: date, marks: Marks) -> tuple[list[int], list[int]]:
    pairs = [
        ((day - first) // timedelta(days=1) + 1, instance)
        for day, ids in marks.items()
        for instance in ids
    ]
    return [day for day, _ in pairs], [instance for _, instance in pairs]
