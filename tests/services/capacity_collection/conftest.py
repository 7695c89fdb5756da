"""Collections whose content a test makes up, and servers that are really collected from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.constants.capacity import RelationKind
from app.constants.reading import ScopeStatus
from app.models import db
from app.repositories import size_samples
from app.repositories.partitions import ensure_partition
from app.repositories.remote.facts import DatabaseFact, ReadError
from app.repositories.remote.sizes import (
    DatabaseSizes,
    ServerSizes,
    SizeOfDatabase,
    SizeOfRelation,
    SizeOfStorage,
)
from app.services.capacity_collection.capacity_collection_service import (
    capacity_collection_service,
)
from app.services.capacity_collection.known import KnownContents
from app.services.capacity_collection.ledger import CollectionLedger, begin
from app.services.capacity_collection.reading import DatabaseReading
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service

ZONE = ZoneInfo("Asia/Shanghai")


def relation(key: str, total_bytes: int | None = 8192, **changes: Any) -> SizeOfRelation:
    """A table of schema public whose name is its key, measured now unless told otherwise."""
    plain: dict[str, Any] = {
        "schema": "public",
        "name": key,
        "kind": RelationKind.TABLE,
        "data_bytes": total_bytes,
        "toast_bytes": 0,
        "index_bytes": 0,
        "exact_at": datetime.now(ZONE) if total_bytes is not None else None,
    }
    return SizeOfRelation(key=key, total_bytes=total_bytes, **{**plain, **changes})


def database(key: str, total_bytes: int | None = 10_000_000, **changes: Any) -> SizeOfDatabase:
    """A database whose name is its key."""
    return SizeOfDatabase(DatabaseFact(key, changes.pop("name", key)), total_bytes, **changes)


def connection() -> Connection[Any]:
    """The connection to the store beneath the session."""
    found: Connection[Any] = db.session.connection().connection.driver_connection  # type: ignore[assignment] # psycopg's own
    return found


def ask(statement: str, *parameters: Any) -> list[Any]:
    """Ask the store."""
    db.session.rollback()
    with connection().cursor(row_factory=namedtuple_row) as cursor:
        found = cursor.execute(statement.encode(), parameters).fetchall()
    db.session.rollback()
    return found


@dataclass
class Watched:
    """A server that is collected from for real."""

    instance_id: int

    def collect(self) -> str:
        """Collect once and return the state in which the item ended."""
        capacity_collection_service.collect_batch([self.instance_id])
        return str(self.item().state)

    def item(self) -> Any:
        """The newest item of the instance."""
        return ask("SELECT * FROM task_run_items ORDER BY id DESC LIMIT 1")[0]

    def collected_at(self) -> datetime:
        """The moment of the newest collection."""
        moment: datetime = ask("SELECT max(collected_at) AS at FROM capacity_collections")[0].at
        return moment

    def databases(self) -> dict[str, Any]:
        """The sizes of the databases that the newest collection found, by name."""
        rows = ask(
            "SELECT d.name, s.* FROM database_sizes AS s"
            " JOIN databases AS d ON d.id = s.database_id WHERE s.collected_at = %s",
            self.collected_at(),
        )
        return {row.name: row for row in rows}

    def relations(self, database: str) -> dict[str, Any]:
        """The sizes of the relations that the newest collection found, by name."""
        rows = ask(
            "SELECT r.name, r.kind, r.parent_id, s.* FROM relation_sizes AS s"
            " JOIN relations AS r ON r.id = s.relation_id"
            " JOIN databases AS d ON d.id = s.database_id"
            " WHERE s.collected_at = %s AND d.name = %s",
            self.collected_at(),
            database,
        )
        return {row.name: row for row in rows}

    def unsized(self) -> dict[str, Any]:
        """What has no size, by "kind name"."""
        rows = ask("SELECT * FROM unsized_objects ORDER BY id")
        return {f"{row.kind} {row.name}": row for row in rows}

    def instance_size(self) -> Any:
        """The instance's own size as of the newest collection; None if it has none."""
        rows = ask("SELECT * FROM instance_sizes WHERE collected_at = %s", self.collected_at())
        return rows[0] if rows else None


@dataclass
class Collected:
    """An instance into whose ledger a test writes collections, one after the other."""

    instance_id: int
    item_id: int = 0
    last: CollectionLedger | None = None
    databases: tuple[SizeOfDatabase, ...] = field(default=(database("orders"),))

    def begin(self, *, item_id: int | None = None) -> CollectionLedger:
        """Begin a collection; the next item's unless told otherwise."""
        self.item_id = self.item_id + 1 if item_id is None else item_id
        found = connection()
        moment = found.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index] # one row
        for table in ("capacity_collections", "relation_sizes", "scope_observations"):
            ensure_partition(db.session.connection(), table, moment)
        at, resumed = begin(found, self.instance_id, self.item_id, moment, ZONE)
        db.session.commit()
        self.last = CollectionLedger(self.instance_id, "made-up", self.item_id, at, resumed, ZONE)
        return self.last

    def server(
        self,
        ledger: CollectionLedger,
        databases: Sequence[SizeOfDatabase] | None = None,
        storages: Sequence[SizeOfStorage] = (),
        missing: Sequence[ReadError] = (),
    ) -> None:
        """Write the server scope."""
        listed = self.databases if databases is None else tuple(databases)
        content = ServerSizes(listed, tuple(storages), "1.0", tuple(missing))
        ledger.write_server(connection(), now(), content, 1)
        db.session.commit()

    def read(
        self,
        ledger: CollectionLedger,
        whole: SizeOfDatabase,
        relations: Sequence[SizeOfRelation] | None = None,
        *,
        error: ReadError | None = None,
        **sizes: Any,
    ) -> DatabaseReading:
        """Return a reading of a database as the reader would have given it."""
        database_id = ledger.database_ids[whole.database.key]
        last = size_samples.last_sizes(connection(), [database_id])
        known = KnownContents([database_id], last, lambda f: f(connection())).of(database_id)
        content = None if relations is None else DatabaseSizes(tuple(relations), **sizes)
        status = error.status if error else ScopeStatus.FULL
        return DatabaseReading(database_id, whole, status, 1, content, known, error)

    def write(self, ledger: CollectionLedger, *readings: DatabaseReading) -> None:
        """Write databases."""
        ledger.write_databases(connection(), now(), readings)
        db.session.commit()

    def end(self, ledger: CollectionLedger, *, whole: bool = True) -> None:
        """Write the sums."""
        ledger.write_end(connection(), now(), whole=whole)
        db.session.commit()

    def collect(
        self, relations: Sequence[SizeOfRelation], total: int | None = 10_000_000, **sizes: Any
    ) -> CollectionLedger:
        """Write one whole collection of the one database orders."""
        ledger = self.begin()
        whole = database("orders", total)
        self.server(ledger, [whole])
        self.write(ledger, self.read(ledger, whole, relations, **sizes))
        self.end(ledger)
        return ledger


def now() -> datetime:
    """The store's time."""
    found: Any = connection().execute("SELECT clock_timestamp()").fetchone()
    moment: datetime = found[0]
    return moment


@pytest.fixture
def made_up(app: Flask) -> Collected:
    """An instance that nobody reads."""
    assert app
    credentials_service.add("monitor", "monitor", "secret")
    row = instances_service.add(
        name="made-up", engine="postgresql", host="nowhere", port=5432, credential="monitor"
    )
    return Collected(row.id)
