"""Which databases the instances have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from app.repositories.remote.facts import DatabaseFact


class KnownDatabase(NamedTuple):
    """An open row of ``databases``."""

    id: int
    name: str


def open_databases(connection: Connection[Any], instance_id: int) -> dict[str, KnownDatabase]:
    """Return every database of the instance that is not gone, by its engine key."""
    rows = connection.execute(
        "SELECT engine_key, id, name FROM databases WHERE instance_id = %s AND closed_at IS NULL",
        (instance_id,),
    )
    return {row[0]: KnownDatabase(row[1], row[2]) for row in rows}


def upsert(
    connection: Connection[Any],
    instance_id: int,
    listed: Sequence[DatabaseFact],
    seen_at: datetime,
) -> dict[str, KnownDatabase]:
    """Write new databases and new names of known ones; return the listed ones by engine key."""
    rows = connection.execute(
        "INSERT INTO databases (instance_id, engine_key, name, first_seen_at)"
        " SELECT %s, key, name, %s FROM unnest(%s::text[], %s::text[]) AS n(key, name)"
        " ON CONFLICT (instance_id, engine_key) WHERE closed_at IS NULL"
        " DO UPDATE SET name = excluded.name RETURNING engine_key, id, name",
        (instance_id, seen_at, [d.key for d in listed], [d.name for d in listed]),
    )
    return {row[0]: KnownDatabase(row[1], row[2]) for row in rows}


def close(
    connection: Connection[Any], database_ids: Sequence[int], closed_at: datetime
) -> list[int]:
    """Mark databases as gone and return those that were not yet; their history stays."""
    rows = connection.execute(
        "UPDATE databases SET closed_at = greatest(%s, first_seen_at)"
        " WHERE id = ANY (%s) AND closed_at IS NULL RETURNING id",
        (closed_at, list(database_ids)),
    )
    return [row[0] for row in rows]


def names_closed_since(
    connection: Connection[Any], instance_id: int, since: datetime | None
) -> set[str]:
    """Return the names of databases that were found to be gone after that moment."""
    rows = connection.execute(
        "SELECT name FROM databases WHERE instance_id = %s AND closed_at > %s", (instance_id, since)
    )
    return {row[0] for row in rows}


def hold_open(connection: Connection[Any], database_ids: Sequence[int]) -> set[int]:
    """Return those that are not gone, which nobody can close until the transaction ends."""
    rows = connection.execute(
        "SELECT id FROM databases WHERE id = ANY (%s) AND closed_at IS NULL ORDER BY id"
        " FOR NO KEY UPDATE",
        (list(database_ids),),
    )
    return {row[0] for row in rows}
