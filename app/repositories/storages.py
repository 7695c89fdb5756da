"""Which tablespaces and volumes the instances have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from app.repositories.remote.sizes import SizeOfStorage

Key = tuple[str, str]
"""(kind, engine key)."""


def upsert(
    connection: Connection[Any],
    instance_id: int,
    listed: Sequence[SizeOfStorage],
    seen_at: datetime,
) -> dict[Key, int]:
    """Write new storages and new names of known ones; return their ids."""
    rows = connection.execute(
        "INSERT INTO storages (instance_id, kind, engine_key, name, first_seen_at)"
        " SELECT %s, kind, key, name, %s"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS n(kind, key, name)"
        " ON CONFLICT (instance_id, kind, engine_key) WHERE closed_at IS NULL"
        " DO UPDATE SET name = excluded.name RETURNING kind, engine_key, id",
        (
            instance_id,
            seen_at,
            [s.kind for s in listed],
            [s.key for s in listed],
            [s.name for s in listed],
        ),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def close_others(
    connection: Connection[Any], instance_id: int, kept_ids: Sequence[int], closed_at: datetime
) -> None:
    """Mark every storage of the instance as gone but these; their rows and sizes stay."""
    connection.execute(
        "UPDATE storages SET closed_at = greatest(%s, first_seen_at)"
        " WHERE instance_id = %s AND closed_at IS NULL AND id <> ALL (%s)",
        (closed_at, instance_id, list(kept_ids)),
    )


def record_sizes(
    connection: Connection[Any],
    instance_id: int,
    collected_at: datetime,
    sized: Sequence[tuple[int, SizeOfStorage]],
) -> None:
    """Write the sizes of one collection, each with the id of its storage."""
    ids = [storage_id for storage_id, _ in sized]
    connection.execute(
        "INSERT INTO storage_sizes (collected_at, instance_id, storage_id, used_bytes, free_bytes,"
        " limit_bytes) SELECT %s, %s, * FROM unnest(%s::integer[], %s::bigint[], %s::bigint[],"
        " %s::bigint[])",
        (
            collected_at,
            instance_id,
            ids,
            [s.used_bytes for _, s in sized],
            [s.free_bytes for _, s in sized],
            [s.limit_bytes for _, s in sized],
        ),
    )
    connection.execute("UPDATE storages SET sized_at = %s WHERE id = ANY (%s)", (collected_at, ids))


def forget_sizes(connection: Connection[Any], instance_id: int, collected_at: datetime) -> None:
    """Take back what an earlier attempt at the same collection wrote."""
    connection.execute(
        "DELETE FROM storage_sizes AS s USING storages AS o WHERE o.instance_id = %s"
        " AND s.storage_id = o.id AND s.collected_at = %s",
        (instance_id, collected_at),
    )
