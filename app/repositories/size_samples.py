"""What each capacity collection found: collections, sizes of instances, databases, relations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from app.repositories import copying
from app.repositories.remote.sizes import KnownSize, SizeOfRelation


class LastSizes(NamedTuple):
    """When a database was sized last, and when its relations were."""

    sized_at: datetime | None
    relations_at: datetime | None
    relation_count: int
    """Of its open relations, roughly: as many as it had then."""


class DatabaseSample(NamedTuple):
    """A row of ``database_sizes`` to be."""

    database_id: int
    total_bytes: int
    data_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None
    allocated_bytes: int | None
    error_bytes: int | None
    relation_count: int | None
    exact_relations: int | None
    estimated_relations: int | None
    unsized_relations: int | None


def begin(
    connection: Connection[Any], instance_id: int, run_item_id: int, now: datetime
) -> tuple[datetime, bool]:
    """Record that a collection has begun, once an item.

    Returns:
        Its moment, and whether an earlier attempt at the same item had begun it.

    """
    row = connection.execute(
        "SELECT collected_at FROM capacity_collections"
        " WHERE run_item_id = %s AND instance_id = %s ORDER BY collected_at DESC LIMIT 1",
        (run_item_id, instance_id),
    ).fetchone()
    if row is not None:
        return row[0], True
    connection.execute(
        "INSERT INTO capacity_collections (collected_at, instance_id, run_item_id)"
        " VALUES (%s, %s, %s)",
        (now, instance_id, run_item_id),
    )
    return now, False


def end(
    connection: Connection[Any], instance_id: int, collected_at: datetime, ended_at: datetime
) -> None:
    """Record when a collection ended, however it did."""
    connection.execute(
        "UPDATE capacity_collections SET ended_at = %s"
        " WHERE instance_id = %s AND collected_at = %s",
        (ended_at, instance_id, collected_at),
    )


def last_sizes(connection: Connection[Any], database_ids: Sequence[int]) -> dict[int, LastSizes]:
    """Return when each of these databases was sized last."""
    rows = connection.execute(
        # the limit keeps it one look into one partition for each database, whatever is believed
        "SELECT d.id, d.sized_at, d.relations_at, coalesce(s.relation_count, 0)"
        " FROM databases AS d LEFT JOIN LATERAL (SELECT relation_count FROM database_sizes"
        "  WHERE database_id = d.id AND collected_at = d.relations_at LIMIT 1) AS s ON true"
        " WHERE d.id = ANY (%s)",
        (list(database_ids),),
    )
    return {row[0]: LastSizes(*row[1:]) for row in rows}


def relation_sizes(
    connection: Connection[Any], collected_at_by_database: dict[int, datetime]
) -> dict[int, dict[int, KnownSize]]:
    """Return the sizes of every relation of each database at its own moment, by relation id.

    One statement a moment, and usually there is one: so it reads one partition, by its index.
    """
    found: dict[int, dict[int, KnownSize]] = {d: {} for d in collected_at_by_database}
    databases_by_moment: dict[datetime, list[int]] = defaultdict(list)
    for database_id, collected_at in collected_at_by_database.items():
        databases_by_moment[collected_at].append(database_id)
    for collected_at, database_ids in databases_by_moment.items():
        rows = connection.execute(
            "SELECT database_id, relation_id, total_bytes, data_bytes, toast_bytes, index_bytes,"
            " free_bytes, allocated_bytes, exact_at, change_mark FROM relation_sizes"
            " WHERE database_id = ANY (%s) AND collected_at = %s",
            (database_ids, collected_at),
            prepare=False,  # planned for this very moment, which only one partition holds
        )
        for row in rows:
            found[row[0]][row[1]] = KnownSize(*row[2:])
    return found


def copy_relation_sizes(
    connection: Connection[Any],
    collected_at: datetime,
    sized: Iterable[tuple[int, int, SizeOfRelation]],
) -> int:
    """Write (database id, relation id, size) of one collection; return how many rows they were."""
    return copying.copy_lines(
        connection,
        "COPY relation_sizes (collected_at, database_id, relation_id, exact_at, total_bytes,"
        " data_bytes, toast_bytes, index_bytes, free_bytes, allocated_bytes, row_estimate,"
        " change_mark) FROM STDIN",
        _relation_lines(collected_at, sized),
    )


def forget_relation_sizes(
    connection: Connection[Any], collected_at: datetime, database_ids: Sequence[int]
) -> None:
    """Take back what an earlier attempt at the same collection wrote."""
    connection.execute(
        "DELETE FROM relation_sizes WHERE database_id = ANY (%s) AND collected_at = %s",
        (list(database_ids), collected_at),
    )


def record_database_sizes(
    connection: Connection[Any],
    instance_id: int,
    collected_at: datetime,
    samples: Sequence[DatabaseSample],
    listed_ids: Sequence[int],
) -> None:
    """Write the sizes of databases, and which of them had their relations listed."""
    columns = [list(column) for column in zip(*samples, strict=True)] or [[]] * 11
    connection.execute(
        "INSERT INTO database_sizes (collected_at, instance_id, database_id, total_bytes,"
        " data_bytes, index_bytes, free_bytes, allocated_bytes, error_bytes, relation_count,"
        " exact_relations, estimated_relations, unsized_relations)"
        " SELECT %s, %s, * FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::bigint[], %s::integer[], %s::integer[], %s::integer[],"
        " %s::integer[])",
        (collected_at, instance_id, *columns),
    )
    connection.execute(
        "UPDATE databases SET sized_at = CASE WHEN id = ANY (%(sized)s) THEN %(at)s"
        "  ELSE sized_at END,"
        " relations_at = CASE WHEN id = ANY (%(listed)s) THEN %(at)s ELSE relations_at END"
        " WHERE id = ANY (%(sized)s) OR id = ANY (%(listed)s)",
        {"sized": columns[0], "listed": list(listed_ids), "at": collected_at},
    )


def record_instance_size(
    connection: Connection[Any],
    instance_id: int,
    collected_at: datetime,
    database_ids: Sequence[int],
    *,
    whole: bool,
) -> None:
    """Write the sum of the databases; no total if any has none, or the list is not whole."""
    connection.execute(
        "INSERT INTO instance_sizes (collected_at, instance_id, database_count, known_bytes,"
        " unsized_databases, total_bytes)"
        " SELECT %(at)s, %(instance)s, %(count)s, coalesce(sum(total_bytes), 0),"
        "  %(count)s - count(*),"
        "  CASE WHEN %(whole)s AND count(*) = %(count)s THEN coalesce(sum(total_bytes), 0) END"
        " FROM database_sizes WHERE instance_id = %(instance)s AND collected_at = %(at)s"
        "  AND database_id = ANY (%(databases)s)",
        {
            "at": collected_at,
            "instance": instance_id,
            "count": len(database_ids),
            "whole": whole,
            "databases": list(database_ids),
        },
    )


def _relation_lines(
    collected_at: datetime, sized: Iterable[tuple[int, int, SizeOfRelation]]
) -> Iterator[bytes]:
    number = copying.number
    at = collected_at.isoformat()
    moments: dict[datetime | None, str] = {None: "\\N"}
    for database_id, relation_id, size in sized:
        exact = moments.get(size.exact_at)
        if exact is None:
            exact = moments[size.exact_at] = size.exact_at.isoformat()  # type: ignore[union-attr] # None is in it
        yield (
            f"{at}\t{database_id}\t{relation_id}\t{exact}\t{size.total_bytes}\t"
            f"{number(size.data_bytes)}\t{number(size.toast_bytes)}\t{number(size.index_bytes)}\t"
            f"{number(size.free_bytes)}\t{number(size.allocated_bytes)}\t"
            f"{number(size.row_estimate)}\t{number(size.change_mark)}\n"
        ).encode()
