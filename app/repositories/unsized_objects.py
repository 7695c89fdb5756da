"""What could not be sized at the last collection, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from app.repositories.remote.facts import ReadError
from app.utils.sql_files import load_sql


class Unsized(NamedTuple):
    """A row of ``unsized_objects`` to be."""

    kind: str
    name: str
    why: ReadError
    database_id: int | None = None
    relation_id: int | None = None


def record(
    connection: Connection[Any],
    instance_id: int,
    collected_at: datetime,
    observed_at: datetime,
    unsized: Sequence[Unsized],
) -> None:
    """Write what is unknown; of what was unknown before, since when is kept."""
    once = {(u.database_id, u.relation_id, u.kind, u.name): u for u in unsized}
    if once:
        connection.execute(
            load_sql("app.repositories.sql", "record_unsized.sql"),
            {
                "instance_id": instance_id,
                "collected_at": collected_at,
                "observed_at": observed_at,
                "database_ids": [u.database_id for u in once.values()],
                "relation_ids": [u.relation_id for u in once.values()],
                "names": [u.name for u in once.values()],
                "kinds": [u.kind for u in once.values()],
                "codes": [u.why.kind for u in once.values()],
                "reasons": [u.why.message for u in once.values()],
                "remedies": [u.why.remedy for u in once.values()],
            },
        )


def settle_server(
    connection: Connection[Any],
    instance_id: int,
    before: datetime,
    *,
    whole: bool,
    sized_storages: Sequence[tuple[str, str]],
) -> None:
    """Leave out the instance itself, and its storages that have a size again or are gone.

    Args:
        connection: Of the caller's transaction.
        instance_id: Whose.
        before: What was observed at this moment stays.
        whole: Whether every storage was listed, so that another one is gone.
        sized_storages: Kind and name of those that have a size.

    """
    connection.execute(
        "DELETE FROM unsized_objects WHERE instance_id = %s AND database_id IS NULL"
        " AND observed_at < %s AND (%s OR kind = 'instance' OR (kind, name) IN"
        "  (SELECT * FROM unnest(%s::text[], %s::text[])))",
        (
            instance_id,
            before,
            whole,
            [kind for kind, _ in sized_storages],
            [name for _, name in sized_storages],
        ),
    )


def settle_databases(
    connection: Connection[Any],
    instance_id: int,
    before: datetime,
    database_ids: Sequence[int],
    *,
    whole_ids: Sequence[int],
    sized_relation_ids: Sequence[int],
) -> None:
    """Leave out what has a size again or is gone.

    Args:
        connection: Of the caller's transaction.
        instance_id: Whose.
        before: What was observed at this moment stays.
        database_ids: The databases in question, whether they could be looked into or not.
        whole_ids: Those of them of which every relation was listed.
        sized_relation_ids: Relations of the others that have a size.

    """
    connection.execute(
        "DELETE FROM unsized_objects WHERE instance_id = %s AND database_id = ANY (%s)"
        " AND observed_at < %s AND (relation_id IS NULL OR database_id = ANY (%s)"
        "  OR relation_id = ANY (%s))",
        (
            instance_id,
            list(database_ids),
            before,
            list(whole_ids),
            list(sized_relation_ids),
        ),
    )


def forget_of_databases(
    connection: Connection[Any], instance_id: int, database_ids: Sequence[int]
) -> None:
    """Leave out everything in databases that are gone."""
    connection.execute(
        "DELETE FROM unsized_objects WHERE instance_id = %s AND database_id = ANY (%s)",
        (instance_id, list(database_ids)),
    )
