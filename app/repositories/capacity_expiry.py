"""What becomes of computed periods when what they were computed from is dropped."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection, sql

from app.repositories import capacity_rollups
from app.utils.sql_files import load_sql

_PACKAGE = "app.repositories.sql"


def expire(
    connection: Connection[Any],
    table: str,
    partition: str,
    starts_at: datetime,
    ends_at: datetime,
) -> list[date]:
    """Prepare the days of a partition of samples, or of collections, for its being dropped.

    To be called in the transaction that drops it, which holds its ACCESS EXCLUSIVE lock and has
    seen that each day of which it has rows is sealed and without a mark.

    1. A day of which nothing is left elsewhere is known by its state alone from now on.
    2. Of a day that goes on in another partition, the state of what goes is kept: it is computed
       from that and from the rows that stay.

    Args:
        connection: To the store.
        table: The partitioned table.
        partition: The name of its partition.
        starts_at: The partition's bounds.
        ends_at: The partition's bounds.

    Returns:
        The days of which rows are about to go.

    """
    days = connection.execute(
        "SELECT start_on, greatest(starts_at, %(starts_at)s), least(ends_at, %(ends_at)s),"
        " starts_at, ends_at FROM capacity_periods"
        " WHERE period = 'day' AND starts_at < %(ends_at)s AND ends_at > %(starts_at)s"
        " ORDER BY start_on",
        {"starts_at": starts_at, "ends_at": ends_at},
    ).fetchall()
    gone = []
    for day, first, last, day_starts_at, day_ends_at in days:
        here = _any(connection, partition, [(first, last)])
        elsewhere = _any(connection, table, [(day_starts_at, first), (last, day_ends_at)])
        if here and elsewhere:
            _keep_residue(connection, table, day, first, last)
        if here:
            gone.append(day)
            _write(connection, table, day, whole=not elsewhere)
        elif not elsewhere:
            _write_if_known(connection, table, day)
    connection.execute(
        "UPDATE capacity_periods SET expired_at = coalesce(expired_at, clock_timestamp())"
        " WHERE period = 'day' AND start_on = ANY (%s)",
        (gone,),
    )
    return gone


def expire_days(connection: Connection[Any], first: date, after_last: date) -> None:
    """Prepare weeks and months for the dropping of the states of some days.

    They are known by their own states alone from now on, and whatever comes for any day of them is
    late, unless samples of that day are there still. To be called in the transaction that drops a
    partition of ``capacity_rollups_day``, which has seen that all of them are sealed, and that
    ``samples_left`` answers None.
    """
    days = _weeks_around(first, after_last)
    connection.execute(
        "INSERT INTO expired_samples (table_name, start_on, whole)"
        " SELECT %(table)s, start_on, true FROM capacity_periods"
        " WHERE period = 'day' AND start_on >= %(first)s AND start_on < %(after_last)s"
        " ON CONFLICT DO NOTHING",
        {**days, "table": capacity_rollups.DAYS},
    )
    for table in capacity_rollups.TABLES:
        connection.execute(
            sql.SQL(
                "INSERT INTO expired_samples (table_name, start_on, whole)"
                " SELECT %(table)s, start_on, true FROM capacity_periods AS p"
                " WHERE period = 'day' AND start_on >= %(week_first)s"
                " AND start_on < %(week_after_last)s AND NOT EXISTS (SELECT FROM {}"
                "  WHERE collected_at >= p.starts_at AND collected_at < p.ends_at)"
                " ON CONFLICT DO NOTHING"
            ).format(sql.Identifier(table)),
            {**days, "table": table},
        )
    connection.execute(
        "UPDATE capacity_periods AS p SET expired_at = coalesce(expired_at, clock_timestamp())"
        " WHERE period = 'week' AND start_on < %(after_last)s AND start_on + 7 > %(first)s"
        "  OR period = 'month' AND start_on < %(after_last)s"
        "   AND start_on + interval '1 month' > %(first)s"
        "  OR period = 'day' AND start_on >= %(week_first)s AND start_on < %(week_after_last)s"
        "   AND EXISTS (SELECT FROM expired_samples AS s WHERE s.start_on = p.start_on)",
        days,
    )


def samples_left(connection: Connection[Any], first: date, after_last: date) -> date | None:
    """Return a day of which samples are left, in the weeks in which some days lie; None: none.

    As long as there is one the states of these days must not be dropped: its samples may be counted
    in a week that could not be computed anew.
    """
    for table in capacity_rollups.TABLES:
        row = connection.execute(
            sql.SQL(
                "SELECT start_on FROM capacity_periods AS p WHERE period = 'day'"
                " AND start_on >= %(week_first)s AND start_on < %(week_after_last)s"
                " AND EXISTS (SELECT FROM {}"
                "  WHERE collected_at >= p.starts_at AND collected_at < p.ends_at)"
                " ORDER BY start_on LIMIT 1"
            ).format(sql.Identifier(table)),
            _weeks_around(first, after_last),
        ).fetchone()
        if row:
            found: date = row[0]
            return found
    return None


def expire_unknown(
    connection: Connection[Any],
    day: date,
    starts_at: datetime,
    ends_at: datetime,
) -> None:
    """Treat a day of which there was nothing ever as one that has expired.

    Its week or month can only be merged with what comes: so each sample has to count once.
    """
    connection.execute(
        "INSERT INTO capacity_periods (period, start_on, starts_at, ends_at, computed_at,"
        " expired_at) VALUES ('day', %s, %s, %s, clock_timestamp(), clock_timestamp())",
        (day, starts_at, ends_at),
    )
    connection.execute(
        "INSERT INTO expired_samples (table_name, start_on, whole)"
        " SELECT table_name, %s, true FROM unnest(%s::text[]) AS table_name"
        " ON CONFLICT DO NOTHING",
        (day, list(capacity_rollups.TABLES)),
    )


def expired_tables(connection: Connection[Any], day: date) -> dict[str, bool]:
    """Return of which tables rows of the day are gone, and whether all that were counted."""
    rows = connection.execute(
        "SELECT table_name, whole FROM expired_samples WHERE start_on = %s", (day,)
    )
    return dict(rows.fetchall())


def _weeks_around(first: date, after_last: date) -> dict[str, date]:
    return {
        "first": first,
        "after_last": after_last,
        "week_first": first - timedelta(days=first.weekday()),
        "week_after_last": after_last + timedelta(days=-after_last.weekday() % 7),
    }


def _any(connection: Connection[Any], table: str, spans: list[tuple[datetime, datetime]]) -> bool:
    for starts_at, ends_at in spans:
        row = connection.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT FROM {} WHERE collected_at >= %s AND collected_at < %s)"
            ).format(sql.Identifier(table)),
            (starts_at, ends_at),
            prepare=False,
        ).fetchone()
        if row and row[0]:
            return True
    return False


def _keep_residue(
    connection: Connection[Any], table: str, day: date, starts_at: datetime, ends_at: datetime
) -> None:
    capacity_rollups.collect_parts(connection, starts_at, ends_at, tables=[table])
    connection.execute(
        load_sql(_PACKAGE, "keep_residues.sql"), {"table": table, "start_on": day}, prepare=False
    )
    connection.execute("DROP TABLE day_parts")


def _write(connection: Connection[Any], table: str, day: date, *, whole: bool) -> None:
    connection.execute(
        "INSERT INTO expired_samples (table_name, start_on, whole) VALUES (%(table)s, %(day)s,"
        " %(whole)s) ON CONFLICT (start_on, table_name)"
        " DO UPDATE SET whole = expired_samples.whole OR excluded.whole",
        {"table": table, "day": day, "whole": whole},
    )
    if whole:
        _forget_residue(connection, table, day)


def _write_if_known(connection: Connection[Any], table: str, day: date) -> None:
    """Nothing is left of a day whose other part is gone already: its state is all there is."""
    connection.execute(
        "UPDATE expired_samples SET whole = true WHERE table_name = %s AND start_on = %s",
        (table, day),
    )
    _forget_residue(connection, table, day)


def _forget_residue(connection: Connection[Any], table: str, day: date) -> None:
    connection.execute(
        "DELETE FROM capacity_residues WHERE table_name = %s AND start_on = %s", (table, day)
    )
