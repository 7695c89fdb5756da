"""What people ask about sizes: the biggest, one instance, and what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import select

from app.constants.capacity import Scope
from app.models import Instance, db
from app.repositories import capacity_views
from app.services.capacity.answers import (
    Certainty,
    DatabaseDetail,
    DatabaseRow,
    InstanceDetail,
    PartitioningRow,
    RelationDetail,
    RelationRow,
    TopList,
    TopRow,
    UnsizedList,
    UnsizedRow,
)
from app.utils.refusal import NotFound, Refused

_DATABASES_AT_ONCE = 64


class CapacityService:
    """Answers from the ledger; never asks a server."""

    def top(
        self, by: Scope = Scope.DATABASE, *, instance: str | None = None, limit: int = 20
    ) -> TopList:
        """Return the biggest instances, databases, relations or storages, as last sized.

        Args:
            by: What to list; partitions are within the relation that they are parts of.
            instance: Only of this one.
            limit: How many at most.

        Raises:
            NotFound: There is no such instance.

        """
        connection = _connection()
        instance_id = instance_named(instance).id if instance is not None else None
        if by is Scope.RELATION:
            rows = _largest_relations(connection, instance_id, limit)
        else:
            question, row_of = {
                Scope.INSTANCE: (capacity_views.instances, _instance_row),
                Scope.DATABASE: (capacity_views.databases, _database_top),
                Scope.STORAGE: (capacity_views.storages, _storage_row),
            }[by]
            rows = [row_of(row) for row in question(connection, instance_id, limit=limit)]
        known = [row for row in rows if row.known_bytes is not None]
        return TopList(known, capacity_views.unsized_count(connection, instance_id))

    def show_instance(self, name: str) -> InstanceDetail:
        """Return what is known of the sizes of an instance, and what is not.

        Raises:
            NotFound: There is no such instance.

        """
        connection = _connection()
        instance_id = instance_named(name).id
        (row,) = capacity_views.instances(connection, instance_id, limit=1)
        whole = _instance_row(row)
        return InstanceDetail(
            instance=row.instance,
            engine=row.engine,
            version=row.version,
            total_bytes=row.total_bytes,
            known_bytes=row.known_bytes,
            database_count=row.database_count,
            unsized_databases=row.unsized_databases,
            as_of=row.collected_at,
            last_collected_at=row.last_collected_at,
            stale=whole.stale,
            unsized_reason=row.unsized_reason,
            storages=[
                _storage_row(one) for one in capacity_views.storages(connection, instance_id)
            ],
            databases=[
                _database_row(one) for one in capacity_views.databases(connection, instance_id)
            ],
            largest=_largest_relations(connection, instance_id, 10),
            unsized=self.unsized(instance=name, limit=20),
        )

    def show_database(self, instance: str, database: str, *, limit: int = 20) -> DatabaseDetail:
        """Return what is known of the sizes of one database, and of its biggest relations.

        Raises:
            NotFound: There is no such instance, or no such database in it.

        """
        connection = _connection()
        instance_id = instance_named(instance).id
        row = _database_named(connection, instance_id, instance, database)
        largest = capacity_views.largest_relations(connection, [row.id], limit)
        unknown = capacity_views.unsized(connection, instance_id, 21, database_id=row.id)
        return DatabaseDetail(
            instance,
            _database_row(row),
            [_relation_row(one) for one in largest],
            [
                _partitioning_row(one)
                for one in capacity_views.partitioning(connection, [one.id for one in largest])
            ],
            _unsized_list(unknown, 20),
        )

    def show_relation(self, instance: str, database: str, relation: str) -> RelationDetail:
        """Return what is known of the sizes of one relation, and of its partitions.

        Args:
            instance: Its name.
            database: Its name.
            relation: Its name, with its schema if others are called so too.

        Raises:
            NotFound: There is no such instance, database or relation.
            Refused: Several relations are called so.

        """
        connection = _connection()
        instance_id = instance_named(instance).id
        row = _database_named(connection, instance_id, instance, database)
        found = capacity_views.relations_named(connection, row.id, relation)
        if not found:
            raise NotFound(
                f"no relation named {relation} is known in {database}",
                f"whalefall capacity show {instance} {database} shows the biggest.",
            )
        if len(found) > 1:
            names = ", ".join(f"{one.schema_name}.{one.name}" for one in found[:5])
            raise Refused(f"several relations are called {relation}: {names}", "Name the schema.")
        (first, *parts) = capacity_views.relation_with_partitions(
            connection, row.id, row.relations_at, found[0].id
        )
        standing = capacity_views.partitioning(connection, [first.id])
        return RelationDetail(
            instance,
            row.name,
            _relation_row(first),
            first.first_seen_at,
            _partitioning_row(standing[0]) if standing else None,
            [_relation_row(part) for part in parts],
        )

    def unsized(self, *, instance: str | None = None, limit: int | None = 100) -> UnsizedList:
        """Return everything whose size is unknown as of the last collection, and why.

        Raises:
            NotFound: There is no such instance.

        """
        wanted = instance_named(instance).id if instance is not None else None
        more = None if limit is None else limit + 1
        return _unsized_list(capacity_views.unsized(_connection(), wanted, more), limit)


def instance_named(name: str) -> Instance:
    """Return a registered instance.

    Raises:
        NotFound: There is no such instance.

    """
    found = db.session.scalar(
        select(Instance).where(Instance.name == name, Instance.removed_at.is_(None))
    )
    if found is None:
        raise NotFound(
            f"there is no instance named {name}", "whalefall instance list shows them all."
        )
    return found


def _largest_relations(
    connection: Connection[Any], instance_id: int | None, limit: int
) -> list[TopRow]:
    """Return the biggest relations without looking into every database.

    1. Look into the biggest databases, a few at first, then more at a time.
    2. Stop when no relation of the next database could be bigger than the last one found: it
       cannot be bigger than its database.
    """
    of_database = {
        row.id: row for row in capacity_views.databases(connection, instance_id) if row.relations_at
    }
    waiting = list(of_database.values())
    # without a size of its own nobody knows how big its relations are: those are always looked at
    waiting.sort(key=lambda row: (row.total_bytes is not None, -(row.total_bytes or 0)))
    found: list[tuple[Any, Any]] = []
    at_once = _DATABASES_AT_ONCE
    while waiting:
        next_bytes = waiting[0].total_bytes
        full = len(found) == limit
        if full and next_bytes is not None and found[-1][0].total_bytes >= next_bytes:
            break
        chunk, waiting = waiting[:at_once], waiting[at_once:]
        at_once *= 2
        rows = capacity_views.largest_relations(connection, [row.id for row in chunk], limit)
        found += [(row, of_database[row.database_id]) for row in rows]
        found = sorted(found, key=lambda pair: (-pair[0].total_bytes, pair[0].id))[:limit]
    return [_relation_top(row, database) for row, database in found]


def _database_named(
    connection: Connection[Any], instance_id: int, instance: str, database: str
) -> Any:
    rows = capacity_views.databases(connection, instance_id, name=database, limit=1)
    if not rows:
        raise NotFound(
            f"no database named {database} is known on {instance}",
            f"whalefall capacity show {instance} shows them all.",
        )
    return rows[0]


def _instance_row(row: Any) -> TopRow:
    return TopRow(
        instance=row.instance,
        database=None,
        name=None,
        kind=Scope.INSTANCE,
        total_bytes=row.total_bytes,
        known_bytes=row.known_bytes,
        unsized_parts=row.unsized_databases or 0,
        share=_share(row.known_bytes, row.all_bytes),
        certainty=Certainty.MEASURED if row.collected_at else Certainty.UNKNOWN,
        exact_at=row.collected_at,
        as_of=row.collected_at,
        stale=_stale(row),
    )


def _database_top(row: Any) -> TopRow:
    return TopRow(
        instance=row.instance,
        database=row.name,
        name=None,
        kind=Scope.DATABASE,
        total_bytes=row.total_bytes,
        known_bytes=row.total_bytes,
        unsized_parts=row.unsized_relations or 0,
        share=_share(row.total_bytes, row.all_bytes),
        certainty=Certainty.MEASURED if row.collected_at else Certainty.UNKNOWN,
        exact_at=row.collected_at,
        as_of=row.collected_at,
        stale=_stale(row),
    )


def _storage_row(row: Any) -> TopRow:
    return TopRow(
        instance=row.instance,
        database=None,
        name=row.name,
        kind=row.kind,
        total_bytes=row.used_bytes,
        known_bytes=row.used_bytes,
        unsized_parts=0,
        share=_share(row.used_bytes, row.limit_bytes),
        certainty=Certainty.MEASURED if row.collected_at else Certainty.UNKNOWN,
        exact_at=row.collected_at,
        as_of=row.collected_at,
        stale=_stale(row),
        free_bytes=row.free_bytes,
        limit_bytes=row.limit_bytes,
    )


def _relation_top(row: Any, database: Any) -> TopRow:
    last = database.last_collected_at
    return TopRow(
        instance=row.instance,
        database=row.database,
        name=_full_name(row),
        kind=row.kind,
        total_bytes=row.total_bytes,
        known_bytes=row.total_bytes,
        unsized_parts=0,
        share=_share(row.total_bytes, database.total_bytes),
        certainty=_certainty(row),
        exact_at=row.exact_at,
        as_of=row.collected_at,
        stale=last is not None and row.collected_at < last,
    )


def _database_row(row: Any) -> DatabaseRow:
    return DatabaseRow(
        database=row.name,
        total_bytes=row.total_bytes,
        data_bytes=row.data_bytes,
        index_bytes=row.index_bytes,
        free_bytes=row.free_bytes,
        allocated_bytes=row.allocated_bytes,
        error_bytes=row.error_bytes,
        relation_count=row.relation_count,
        exact_relations=row.exact_relations,
        estimated_relations=row.estimated_relations,
        unsized_relations=row.unsized_relations,
        as_of=row.collected_at,
        stale=_stale(row),
    )


def _relation_row(row: Any) -> RelationRow:
    return RelationRow(
        name=_full_name(row),
        kind=row.kind,
        total_bytes=row.total_bytes,
        data_bytes=row.data_bytes,
        toast_bytes=row.toast_bytes,
        index_bytes=row.index_bytes,
        free_bytes=row.free_bytes,
        allocated_bytes=row.allocated_bytes,
        row_estimate=row.row_estimate,
        certainty=_certainty(row),
        exact_at=row.exact_at,
        as_of=row.collected_at,
    )


def _partitioning_row(row: Any) -> PartitioningRow:
    return PartitioningRow(
        name=_full_name(row),
        strategy=row.strategy,
        partition_count=row.partition_count,
        key_definition=row.key_definition,
        last_partition=row.last_partition,
        last_bound=row.last_bound,
        last_bound_at=row.last_bound_at,
        default_name=row.default_name,
        default_rows=row.default_rows,
    )


def _unsized_list(rows: Sequence[Any], limit: int | None) -> UnsizedList:
    shown = rows[:limit]
    return UnsizedList([UnsizedRow(**row._asdict()) for row in shown], len(rows) > len(shown))


def _full_name(row: Any) -> str:
    return f"{row.schema_name}.{row.name}" if row.schema_name else str(row.name)


def _certainty(row: Any) -> Certainty:
    if row.total_bytes is None:
        return Certainty.UNKNOWN
    if row.exact_at is None:
        return Certainty.ESTIMATED
    return Certainty.MEASURED if row.exact_at >= row.collected_at else Certainty.UNCHANGED


def _stale(row: Any) -> bool:
    last: datetime | None = row.last_collected_at
    return row.collected_at is not None and last is not None and row.collected_at < last


def _share(part: int | None, whole: int | None) -> float | None:
    return float(part / whole) if part is not None and whole else None


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


capacity_service = CapacityService()
