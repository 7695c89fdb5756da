"""What people ask about sizes: the biggest, one instance, and what is unknown."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.utils.sql_files import load_sql


def unsized(connection: Connection[Any], instance_id: int | None, limit: int | None) -> list[Any]:
    """Return what could not be sized, of one instance or of all (None)."""
    return _rows(connection, "unsized.sql", {"instance_id": instance_id, "limit": limit})


def _rows(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        statement = load_sql("app.repositories.sql", name)
        return cursor.execute(statement.encode(), parameters).fetchall()
