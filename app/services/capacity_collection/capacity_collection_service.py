"""Capacity collection: how big every database and every relation is, right now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from app.config import current_settings
from app.constants.engines import Engine
from app.constants.runs import State
from app.models import Instance, db
from app.repositories import instances, size_samples
from app.repositories.remote import reader_for
from app.repositories.remote.facts import ReadError, Receipt
from app.repositories.remote.sizes import ServerSizes, SizeOfDatabase
from app.repositories.size_samples import LastSizes
from app.services.accounts_sync.reading import coverage
from app.services.capacity_collection.known import KnownContents
from app.services.capacity_collection.ledger import CollectionLedger, begin
from app.services.capacity_collection.reading import (
    DatabaseReading,
    Limits,
    ms_since,
    read_databases,
    read_server,
    skipped,
)
from app.services.instances.instances_service import instances_service
from app.services.task_runs.fencing import fenced_transaction, store_transaction
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service

TASK = "collect_capacity"

_SAMPLES = (
    "capacity_collections",
    "instance_sizes",
    "database_sizes",
    "relation_sizes",
    "storage_sizes",
)
_DATABASES_A_TRANSACTION = 32
_RELATIONS_A_TRANSACTION = 20_000
_NEVER = datetime.min.replace(tzinfo=UTC)


class CapacityCollectionService:
    """Keeps the ledger of sizes going."""

    def collect_batch(self, instance_ids: list[int] | None = None) -> dict[str, Any]:
        """Collect the sizes of many instances at once and wait until each has ended.

        Args:
            instance_ids: Which ones; None means every enabled one.

        Returns:
            ``success_count``, ``partial_count``, ``failed_count``, ``cancelled_count``, ``run_id``.

        """
        targets = instances.ids_to_read(db.session, instance_ids)
        db.session.rollback()  # hold no snapshot while others work
        return task_runs_service.fan_out(TASK, targets, self.collect_one)

    def collect_one(self, item: ItemContext) -> None:
        """Read the sizes of one instance and write what was found.

        1. Record that a collection has begun: what fails from here on was expected.
        2. Read the server scope. If that fails nothing is concluded about anything.
        3. Write it; then read databases, a few at a time, those first that have waited longest.
        4. Write each as it comes. One whose turn does not come in time keeps its total.
        5. Write the sum and close the item in the transaction of the last databases.

        Raises:
            ReadError: The server scope could not be read.
            Fenced: A newer attempt at the same item has taken over.

        """
        settings = current_settings()
        limits = Limits(
            settings.databases_at_once,
            settings.capacity_database_seconds,
            settings.capacity_instance_seconds,
            time.monotonic(),
        )
        instance = db.session.get_one(Instance, item.instance_id)
        name, engine = instance.name, Engine(instance.engine)
        with fenced_transaction(item, *_SAMPLES) as (connection, moment):
            collected_at, resumed = begin(
                connection, item.instance_id, item.item_id, moment, settings.zone
            )
        ledger = CollectionLedger(
            item.instance_id, name, item.item_id, collected_at, resumed, settings.zone
        )
        receipt = Receipt()
        reader = reader_for(engine)
        try:
            target = instances_service.target_of(db.session.get_one(Instance, item.instance_id))
            db.session.rollback()
            server = read_server(reader, target, receipt)
        except ReadError as error:
            with fenced_transaction(item, "scope_observations") as (connection, moment):
                ledger.write_unreadable(connection, moment, error, ms_since(limits.started))
            error.receipt = _receipt(receipt, ledger, limits)
            error.coverage = coverage({error.status: 1})
            raise
        with fenced_transaction(item, "account_changes", "scope_observations") as (
            connection,
            moment,
        ):
            ledger.write_server(connection, moment, server, ms_since(limits.started))
        waiting, known = _plan(ledger, server)
        batch = [skipped(i, one) for i, one in waiting if one.database.skip_reason is not None]
        with read_databases(
            reader,
            target,
            receipt,
            server.version,
            [(i, one) for i, one in waiting if one.database.skip_reason is None],
            known.of,
            limits,
            item.checkpoint,
        ) as readings:
            for reading in readings:
                batch.append(reading)
                if (
                    len(batch) >= _DATABASES_A_TRANSACTION
                    or _size(batch) > _RELATIONS_A_TRANSACTION
                ):
                    with fenced_transaction(item, "scope_observations") as (connection, moment):
                        ledger.write_databases(connection, moment, batch)
                    batch = []
        with fenced_transaction(item, "scope_observations") as (connection, moment):
            ledger.write_databases(connection, moment, batch)
            ledger.write_end(connection, moment, whole=not server.missing)
            outcome = ItemOutcome(
                state=State.PARTIAL if ledger.troubles else State.SUCCEEDED,
                error=_summary(ledger.troubles),
                coverage=coverage(ledger.counts),
                receipt=_receipt(receipt, ledger, limits),
            )
            task_runs_service.close_item(db.session, item, outcome)


def _plan(
    ledger: CollectionLedger, server: ServerSizes
) -> tuple[list[tuple[int, SizeOfDatabase]], KnownContents]:
    """Return the databases to read, those first that have waited longest, and what is known."""
    last: dict[int, LastSizes] = {}
    done: set[int] = set()

    def ask(connection: Connection[Any]) -> None:
        last.update(size_samples.last_sizes(connection, list(ledger.database_ids.values())))
        done.update(ledger.take_over(connection, server.databases, last))

    _asked(ask)
    waiting = [
        (database_id, one)
        for one in server.databases
        if (database_id := ledger.database_ids[one.database.key]) not in done
    ]
    waiting.sort(key=lambda pair: (last[pair[0]].relations_at or _NEVER, pair[0]))
    order = [i for i, one in waiting if one.database.skip_reason is None]
    return waiting, KnownContents(order, last, _asked)


def _asked(question: Callable[[Connection[Any]], None]) -> None:
    """Ask the store something, and hold no snapshot while others work."""
    with store_transaction() as connection:
        question(connection)


def _summary(troubles: Sequence[str]) -> str | None:
    parts = list(troubles[:5])
    if len(troubles) > 5:
        parts.append(f"and {len(troubles) - 5} more scopes")
    return "; ".join(parts) or None


def _receipt(receipt: Receipt, ledger: CollectionLedger, limits: Limits) -> dict[str, Any]:
    return {**asdict(receipt), "ms": ms_since(limits.started), **asdict(ledger.written)}


def _size(batch: Sequence[DatabaseReading]) -> int:
    return sum(len(one.sizes.relations) for one in batch if one.sizes is not None)


capacity_collection_service = CapacityCollectionService()
