"""Questions of growth: which objects grew most in a period, and how one of them did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.constants.capacity import Period, Scope
from app.utils.sql_files import load_sql

_PACKAGE = "app.repositories.sql"


def grown_most(connection: Connection[Any], **wanted: Any) -> list[Any]:
    """Return the rows of growth.sql for its parameters."""
    return _rows(connection, load_sql(_PACKAGE, "growth.sql"), wanted)


def history(
    connection: Connection[Any],
    scope: Scope,
    object_id: int,
    period: Period,
    until: date,
    limit: int | None,
) -> list[Any]:
    """Return the rows of growth_history.sql; those that start on ``until`` are in it."""
    return _rows(
        connection,
        load_sql(_PACKAGE, "growth_history.sql"),
        {
            "scope": scope,
            "object_id": object_id,
            "period": period,
            "until": until,
            "limit": limit,
        },
    )


def latest_start(connection: Connection[Any], period: Period, until: date) -> date | None:
    """Return the first day of the latest computed period that starts on a day or before."""
    row = connection.execute(
        "SELECT max(start_on) FROM capacity_periods WHERE period = %s AND start_on <= %s",
        (period, until),
    ).fetchone()
    return row[0] if row else None


def sealed_starts(connection: Connection[Any], period: Period, starts: Sequence[date]) -> set[date]:
    """Return which of the periods are sealed and not dirty."""
    rows = connection.execute(
        "SELECT start_on FROM capacity_periods AS p WHERE period = %s AND start_on = ANY (%s)"
        " AND sealed_at IS NOT NULL AND NOT EXISTS (SELECT FROM dirty_periods AS d"
        "  WHERE date_trunc(p.period, d.start_on::timestamp)::date = p.start_on"
        "   AND d.period IN (p.period, 'day', CASE p.period WHEN 'quarter' THEN 'month' END))",
        (period, list(starts)),
    )
    return {row[0] for row in rows}


def databases_named(connection: Connection[Any], instance_id: int, name: str) -> list[Any]:
    """Return (id, closed_at) of an instance's databases of that name, the living one first."""
    return _rows(
        connection,
        "SELECT id, closed_at FROM databases WHERE instance_id = %(instance_id)s"
        " AND name = %(name)s ORDER BY closed_at DESC NULLS FIRST, id DESC",
        {"instance_id": instance_id, "name": name},
    )


def relations_named(connection: Connection[Any], database_id: int, name: str) -> list[Any]:
    """Return (id, schema, name) of relations called so, with or without their schema.

    Those that exist come first; one that is gone is in it only if none exists.
    """
    rows = _rows(
        connection,
        "SELECT id, schema_name AS schema, name, closed_at FROM relations"
        " WHERE database_id = %(database_id)s"
        " AND (name = %(name)s OR schema_name || '.' || name = %(name)s)"
        " ORDER BY closed_at DESC NULLS FIRST, id DESC LIMIT 20",
        {"database_id": database_id, "name": name},
    )
    living = [row for row in rows if row.closed_at is None]
    return living or rows[:1]


def storages_named(connection: Connection[Any], instance_id: int, name: str) -> list[Any]:
    """Return (id, closed_at) of an instance's storages of that name, the living one first."""
    return _rows(
        connection,
        "SELECT id, closed_at FROM storages WHERE instance_id = %(instance_id)s"
        " AND name = %(name)s ORDER BY closed_at DESC NULLS FIRST, id DESC",
        {"instance_id": instance_id, "name": name},
    )


def _rows(connection: Connection[Any], statement: str, wanted: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement.encode(), wanted, prepare=False).fetchall()
