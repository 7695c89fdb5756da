"""Account sync: who exists on every server, what they may do, and what changed since last time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.config import current_settings
from app.constants.engines import Engine
from app.constants.reading import ScopeStatus
from app.constants.runs import State
from app.models import Instance, db
from app.repositories import instances
from app.repositories.remote import reader_for
from app.repositories.remote.facts import ReadError, Receipt, ServerContent
from app.services.accounts_sync.ledger import InstanceLedger
from app.services.accounts_sync.reading import (
    ScopeReading,
    coverage,
    read_databases,
    read_server,
)
from app.services.instances.instances_service import instances_service
from app.services.task_runs.fencing import fenced_transaction
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()

TASK = "sync_accounts"

_DATABASES_A_TRANSACTION = 32
_BYTES_A_TRANSACTION = 32 * 1024 * 1024
_HISTORY = ("account_changes", "scope_observations")


class AccountsSyncService:
    """Keeps the ledger of accounts true."""

    def sync_batch(self, instance_ids: list[int] | None = None) -> dict[str, Any]:
        """Sync many instances at once and wait until each has ended.

        Args:
            instance_ids: Which ones; None means every enabled one.

        Returns:
            ``success_count``, ``partial_count``, ``failed_count``, ``cancelled_count``, ``run_id``.

        """
        targets = instances.ids_to_read(db.session, instance_ids)
        db.session.rollback()  # hold no snapshot while others work
        return task_runs_service.fan_out(TASK, targets, self.sync_one)

    def sync_one(self, item: ItemContext) -> None:
        """Read one instance and write what was seen.

        1. Read the server scope. If that fails nothing is concluded about anything.
        2. Write it, while the first databases are being read, a few at a time.
        3. Write each database as it comes.
        4. Close the item in the transaction of the last write.

        Raises:
            ReadError: The server scope could not be read.
            Fenced: A newer attempt at the same item has taken over.

        """
        settings = current_settings()
        started = time.monotonic()
        instance = db.session.get_one(Instance, item.instance_id)
        target = instances_service.target_of(instance)
        reader = reader_for(Engine(instance.engine))
        db.session.rollback()
        receipt = Receipt()
        ledger = InstanceLedger(
            item.instance_id,
            item.item_id,
            settings.mass_removal_percent,
            settings.mass_removal_minimum,
        )
        try:
            server = read_server(reader, target, receipt)
        except ReadError as error:
            self._write_unreadable(item, ledger, error, _ms_since(started))
            error.receipt = _receipt(receipt, ledger, started)
            error.coverage = coverage({error.status: 1})
            raise
        content = server.content
        assert isinstance(content, ServerContent)  # noqa: S101 - read_server returns nothing else
        counts = Counter([server.status])
        troubles = [server] if server.reason else []
        batch: list[ScopeReading] = []
        with read_databases(
            reader,
            target,
            content,
            receipt,
            at_once=settings.databases_at_once,
            checkpoint=item.checkpoint,
        ) as readings:
            self._write_server(item, ledger, server, content)
            for reading in readings:
                counts[reading.status] += 1
                if reading.status is not ScopeStatus.FULL and not reading.expected:
                    troubles.append(reading)
                batch.append(reading)
                if len(batch) >= _DATABASES_A_TRANSACTION or _size(batch) > _BYTES_A_TRANSACTION:
                    self._write_databases(item, ledger, batch)
                    batch = []
        with fenced_transaction(item, *_HISTORY) as (connection, moment):
            ledger.write_databases(connection, moment, batch)
            held = ledger.written.accounts_held
            outcome = ItemOutcome(
                state=State.PARTIAL if troubles or held else State.SUCCEEDED,
                error_code="mass_removal_held" if held else None,
                error=_summary(troubles, held),
                coverage=coverage(counts),
                receipt=_receipt(receipt, ledger, started),
            )
            task_runs_service.close_item(db.session, item, outcome)

    # -- one short transaction each

    def _write_server(
        self,
        item: ItemContext,
        ledger: InstanceLedger,
        reading: ScopeReading,
        content: ServerContent,
    ) -> None:
        with fenced_transaction(item, *_HISTORY) as (connection, moment):
            # locked: a person may be confirming a held removal at this moment
            instance = db.session.get_one(
                Instance,
                item.instance_id,
                populate_existing=True,
                with_for_update={"of": Instance},
            )
            ledger.write_server(
                connection,
                moment,
                reading,
                old_version=instance.server_version,
                old_rights=instance.rights,
            )
            if instance.server_version != content.version:
                instance.server_version = content.version
            if instance.rights != content.rights:
                instance.rights = content.rights

    def _write_databases(
        self, item: ItemContext, ledger: InstanceLedger, batch: Sequence[ScopeReading]
    ) -> None:
        with fenced_transaction(item, *_HISTORY) as (connection, moment):
            ledger.write_databases(connection, moment, batch)

    def _write_unreadable(
        self, item: ItemContext, ledger: InstanceLedger, error: ReadError, duration_ms: int
    ) -> None:
        with fenced_transaction(item, *_HISTORY) as (connection, moment):
            instance = db.session.get_one(Instance, item.instance_id, populate_existing=True)
            rights = ledger.write_unreadable(
                connection, moment, error, duration_ms, instance.rights
            )
            if rights is not None:
                instance.rights = rights


def _summary(troubles: Sequence[ScopeReading], held: int) -> str | None:
    parts = [f"{reading.name}: {reading.reason}" for reading in troubles[:5]]
    if len(troubles) > 5:
        parts.append(f"and {len(troubles) - 5} more scopes")
    if held:
        parts.insert(0, f"the removal of {held} accounts waits to be confirmed")
    return "; ".join(parts) or None


def _receipt(receipt: Receipt, ledger: InstanceLedger, started: float) -> dict[str, Any]:
    return {**asdict(receipt), "ms": _ms_since(started), **asdict(ledger.written)}


def _size(batch: Sequence[ScopeReading]) -> int:
    return sum(reading.content.size for reading in batch if reading.content is not None)


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


accounts_sync_service = AccountsSyncService()
