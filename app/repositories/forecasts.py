"""What a forecast needs, and what was foretold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.utils.sql_files import load_sql

_PACKAGE = "app.repositories.sql"
# Of COPY's binary format: the number of fields, then each with its length. No field is NULL, so
# that every row has the same number of bytes and all of them are read at once.
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("object_id_length", ">i4"),
        ("object_id", ">i4"),
        ("day_length", ">i4"),
        ("day", ">i4"),
        ("bytes_length", ">i4"),
        ("bytes", ">i8"),
    ]
)
_HEADER_BYTES = 19
_TRAILER_BYTES = 2

COLUMNS = (
    "scope",
    "object_id",
    "instance_id",
    "computed_at",
    "as_of",
    "current_bytes",
    "limit_bytes",
    "limit_source",
    "status",
    "reason",
    "bytes_per_day",
    "days_to_limit",
    "days_earliest",
    "days_latest",
    "history_days",
    "regime_since",
    "backtest_error",
    "backtest_count",
)


def subjects(connection: Connection[Any]) -> list[Any]:
    """Return (scope, object_id, instance_id, limit_bytes, limit_source) of what is alive."""
    return _rows(connection, "forecast_subjects.sql", {})


def daily_sizes(
    connection: Connection[Any],
    scope: str,
    object_ids: Sequence[int],
    first_day: date,
    last_day: date,
) -> NDArray[Any]:
    """Return the days of these objects, in any order.

    Returns:
        A structured array with ``object_id``, ``day`` (0 is the first) and ``bytes`` (-1: the
        object was there and could not be sized).

    """
    select = load_sql(_PACKAGE, "daily_sizes.sql")
    statement = f"COPY ({select}) TO STDOUT (FORMAT binary)"
    wanted = {
        "scope": scope,
        "object_ids": list(object_ids),
        "first_day": first_day,
        "last_day": last_day,
    }
    received = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement.encode(), wanted) as copy:
        for chunk in copy:
            received += chunk
    return np.frombuffer(bytes(received[_HEADER_BYTES:-_TRAILER_BYTES]), dtype=_ROW)


def replace(connection: Connection[Any], rows: Iterable[Sequence[Any]]) -> int:
    """Put these forecasts, each in the order of COLUMNS, in the place of all that there are."""
    connection.execute("LOCK TABLE capacity_forecasts IN SHARE ROW EXCLUSIVE MODE")
    connection.execute("DELETE FROM capacity_forecasts")
    written = 0
    statement = f"COPY capacity_forecasts ({', '.join(COLUMNS)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
            written += 1
    return written


def list_forecasts(
    connection: Connection[Any],
    *,
    instance_id: int | None,
    scope: str | None,
    until: date | None,
    limit: int | None,
) -> list[Any]:
    """Return forecasts with the names of what they are about."""
    return _rows(
        connection,
        "forecasts.sql",
        {"instance_id": instance_id, "scope": scope, "until": until, "limit": limit},
    )


def list_limits(connection: Connection[Any]) -> list[Any]:
    """Return every limit that a person has set on something that is still there."""
    return _rows(connection, "capacity_limits.sql", {})


def open_objects(
    connection: Connection[Any], scope: str, instance_id: int, name: str
) -> list[tuple[int, str]]:
    """Return (id, kind) of the living databases or storages of that name on an instance."""
    if scope == "database":
        statement = (
            "SELECT id, 'database' FROM databases"
            " WHERE instance_id = %s AND name = %s AND closed_at IS NULL"
        )
    else:
        statement = (
            "SELECT id, kind FROM storages"
            " WHERE instance_id = %s AND %s IN (name, kind || ':' || name) AND closed_at IS NULL"
            " ORDER BY kind"
        )
    return connection.execute(statement, (instance_id, name)).fetchall()


def set_limit(
    connection: Connection[Any], scope: str, object_id: int, limit_bytes: int, by: str | None
) -> None:
    """Write how much may be used, in the place of what was said before."""
    connection.execute(
        "INSERT INTO capacity_limits (scope, object_id, limit_bytes, set_by)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (scope, object_id) DO UPDATE"
        " SET limit_bytes = excluded.limit_bytes, set_by = excluded.set_by, set_at = now()",
        (scope, object_id, limit_bytes, by),
    )


def clear_limit(connection: Connection[Any], scope: str, object_id: int) -> bool:
    """Forget what a person has said; return whether there was anything."""
    done = connection.execute(
        "DELETE FROM capacity_limits WHERE scope = %s AND object_id = %s", (scope, object_id)
    )
    return done.rowcount > 0


def _rows(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(load_sql(_PACKAGE, name).encode(), parameters).fetchall()
