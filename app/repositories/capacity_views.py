"""What people ask about sizes: the biggest, one instance, and what is unknown.

Every question finds the last size of a thing by its key and that moment, so that the history,
however long, is never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.utils.sql_files import load_sql


def databases(
    connection: Connection[Any],
    instance_id: int | None = None,
    *,
    name: str | None = None,
    limit: int | None = None,
) -> list[Any]:
    """Return every database with its last size, the biggest first; all_bytes is their sum."""
    wanted = {"instance_id": instance_id, "name": name, "limit": limit}
    return _rows(connection, "sizes_of_databases.sql", wanted)


def instances(
    connection: Connection[Any], instance_id: int | None = None, *, limit: int | None = None
) -> list[Any]:
    """Return every instance with its last size, the biggest first; all_bytes is their sum."""
    wanted = {"instance_id": instance_id, "limit": limit}
    return _rows(connection, "sizes_of_instances.sql", wanted)


def storages(
    connection: Connection[Any], instance_id: int | None = None, *, limit: int | None = None
) -> list[Any]:
    """Return every tablespace and volume with its last size, the biggest first."""
    wanted = {"instance_id": instance_id, "limit": limit}
    return _rows(connection, "sizes_of_storages.sql", wanted)


def largest_relations(
    connection: Connection[Any], database_ids: Sequence[int], limit: int
) -> list[Any]:
    """Return the biggest relations of these databases, partitions within their parents."""
    wanted = {"database_ids": list(database_ids), "limit": limit}
    return _rows(connection, "largest_relations.sql", wanted)


def relation_with_partitions(
    connection: Connection[Any], database_id: int, collected_at: datetime | None, relation_id: int
) -> list[Any]:
    """Return a relation and its partitions with their last sizes; the relation itself first."""
    wanted = {
        "database_id": database_id,
        "collected_at": collected_at,
        "relation_id": relation_id,
    }
    return _rows(connection, "relation_with_partitions.sql", wanted)


def relations_named(connection: Connection[Any], database_id: int, name: str) -> list[Any]:
    """Return (id, schema_name, name) of open relations called so, with or without the schema."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT id, schema_name, name FROM relations"
            " WHERE database_id = %(database_id)s AND closed_at IS NULL"
            "  AND (name = %(name)s OR schema_name || '.' || name = %(name)s)"
            " ORDER BY schema_name NULLS FIRST, id",
            {"database_id": database_id, "name": name},
        ).fetchall()


def partitioning(connection: Connection[Any], relation_ids: Sequence[int]) -> list[Any]:
    """Return how these relations are partitioned, if they are."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT p.*, r.schema_name, r.name FROM partitioned_relations AS p"
            " JOIN relations AS r ON r.id = p.relation_id WHERE p.relation_id = ANY (%s)"
            " ORDER BY r.schema_name NULLS FIRST, r.name",
            (list(relation_ids),),
        ).fetchall()


def unsized(
    connection: Connection[Any],
    instance_id: int | None,
    limit: int | None,
    *,
    database_id: int | None = None,
) -> list[Any]:
    """Return what could not be sized, of one instance or of all (None)."""
    wanted = {"instance_id": instance_id, "database_id": database_id, "limit": limit}
    return _rows(connection, "unsized.sql", wanted)


def unsized_count(connection: Connection[Any], instance_id: int | None) -> int:
    """Return how much could not be sized, of one instance or of all (None)."""
    row = connection.execute(
        "SELECT count(*) FROM unsized_objects AS u JOIN instances AS i ON i.id = u.instance_id"
        " WHERE i.removed_at IS NULL"
        " AND (%(instance_id)s::integer IS NULL OR u.instance_id = %(instance_id)s)",
        {"instance_id": instance_id},
    ).fetchone()
    return int(row[0]) if row else 0


def _rows(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        statement = load_sql("app.repositories.sql", name)
        return cursor.execute(statement.encode(), parameters).fetchall()
