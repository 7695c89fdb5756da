"""Which tables, and whatever else takes room of its own, the databases have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from app.repositories import copying
from app.repositories.remote.sizes import PartitioningFact, SizeOfRelation


class KnownRelation(NamedTuple):
    """An open row of ``relations``, in the order of its columns."""

    id: int
    key: str
    schema: str | None
    name: str
    kind: str
    parent_id: int | None

    def differs_from(self, fact: SizeOfRelation, parent_id: int | None) -> bool:
        """Tell whether what was read is not what is stored."""
        return self[2:] != (fact.schema, fact.name, fact.kind, parent_id)


def open_relations(
    connection: Connection[Any], database_ids: Sequence[int]
) -> dict[int, dict[str, KnownRelation]]:
    """Return every relation of each database that is not gone, by its engine key."""
    found: dict[int, dict[str, KnownRelation]] = {database_id: {} for database_id in database_ids}
    rows = connection.execute(
        "SELECT database_id, id, engine_key, schema_name, name, kind, parent_id FROM relations"
        " WHERE database_id = ANY (%s) AND closed_at IS NULL",
        (list(database_ids),),
    )
    for row in rows:
        found[row[0]][row[2]] = KnownRelation._make(row[1:])
    return found


def new_ids(connection: Connection[Any], count: int) -> list[int]:
    """Return the ids of so many relations to come."""
    rows = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('relations', 'id')) FROM generate_series(1, %s)",
        (count,),
    )
    return [row[0] for row in rows]


def add(
    connection: Connection[Any],
    new: Iterable[tuple[int, KnownRelation]],
    first_seen_at: datetime,
) -> None:
    """Write new relations, each with the id of its database."""
    since = first_seen_at.isoformat()
    copying.copy_lines(
        connection,
        "COPY relations (id, database_id, engine_key, schema_name, name, kind, parent_id,"
        " first_seen_at) FROM STDIN",
        (
            "\t".join(
                (
                    str(relation.id),
                    str(database_id),
                    copying.text(relation.key),
                    copying.text(relation.schema),
                    copying.text(relation.name),
                    relation.kind,
                    copying.number(relation.parent_id),
                    f"{since}\n",
                )
            ).encode()
            for database_id, relation in new
        ),
    )


def update(connection: Connection[Any], changed: Sequence[KnownRelation]) -> None:
    """Bring names, kinds and parents up to what was read, in one statement."""
    if changed:
        connection.execute(
            "UPDATE relations AS r SET schema_name = n.schema_name, name = n.name, kind = n.kind,"
            " parent_id = n.parent_id FROM unnest(%s::integer[], %s::text[], %s::text[],"
            " %s::text[], %s::integer[]) AS n(id, schema_name, name, kind, parent_id)"
            " WHERE r.id = n.id",
            (
                [r.id for r in changed],
                [r.schema for r in changed],
                [r.name for r in changed],
                [r.kind for r in changed],
                [r.parent_id for r in changed],
            ),
        )


def close(connection: Connection[Any], relation_ids: Sequence[int], closed_at: datetime) -> None:
    """Mark relations as gone; their rows and their sizes stay."""
    if relation_ids:
        ids = list(relation_ids)
        connection.execute(
            "UPDATE relations SET closed_at = greatest(%s, first_seen_at)"
            " WHERE id = ANY (%s) AND closed_at IS NULL",
            (closed_at, ids),
        )
        connection.execute("DELETE FROM partitioned_relations WHERE relation_id = ANY (%s)", (ids,))


def close_of_databases(
    connection: Connection[Any], database_ids: Sequence[int], closed_at: datetime
) -> None:
    """Mark everything in these databases as gone."""
    connection.execute(
        "WITH gone AS (UPDATE relations SET closed_at = greatest(%s, first_seen_at)"
        " WHERE database_id = ANY (%s) AND closed_at IS NULL RETURNING id)"
        " DELETE FROM partitioned_relations USING gone WHERE relation_id = gone.id",
        (closed_at, list(database_ids)),
    )


def record_partitioning(
    connection: Connection[Any],
    standing: Sequence[tuple[int, PartitioningFact]],
    observed_at: datetime,
) -> None:
    """Write how partitioned relations stand now, each with its id."""
    if not standing:
        return
    connection.execute(
        "INSERT INTO partitioned_relations (relation_id, strategy, partition_count,"
        " key_definition, last_partition, last_bound, last_bound_at, default_name, default_rows,"
        " observed_at)"
        " SELECT *, %s FROM unnest(%s::integer[], %s::text[], %s::integer[], %s::text[],"
        " %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[])"
        " ON CONFLICT (relation_id) DO UPDATE SET strategy = excluded.strategy,"
        " partition_count = excluded.partition_count, key_definition = excluded.key_definition,"
        " last_partition = excluded.last_partition, last_bound = excluded.last_bound,"
        " last_bound_at = excluded.last_bound_at, default_name = excluded.default_name,"
        " default_rows = excluded.default_rows, observed_at = excluded.observed_at",
        (
            observed_at,
            [relation_id for relation_id, _ in standing],
            [fact.strategy for _, fact in standing],
            [fact.partition_count for _, fact in standing],
            [fact.key_definition for _, fact in standing],
            [fact.last_partition for _, fact in standing],
            [fact.last_bound for _, fact in standing],
            [fact.last_bound_at for _, fact in standing],
            [fact.default_name for _, fact in standing],
            [fact.default_rows for _, fact in standing],
        ),
    )


def forget_partitioning(connection: Connection[Any], relation_ids: Sequence[int]) -> None:
    """Leave out relations that are no longer partitioned."""
    if relation_ids:
        connection.execute(
            "DELETE FROM partitioned_relations WHERE relation_id = ANY (%s)", (list(relation_ids),)
        )
