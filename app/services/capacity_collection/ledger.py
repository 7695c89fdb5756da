"""Write what a collection found, so that an unknown is never a zero, and never "gone".

One instance is written in several short transactions: the server scope, then its databases a few at
a time, then the sums. Each is complete in itself, with its observations and the mark that the day
has to be computed, so a crash between two of them loses nothing; the next attempt goes on at the
same moment with what is not there yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from app.constants.capacity import Period
from app.constants.reading import ScopeStatus
from app.repositories import (
    account_changes,
    account_scopes,
    capacity_periods,
    databases,
    relations,
    size_samples,
    storages,
    unsized_objects,
)
from app.repositories.account_scopes import Observation
from app.repositories.remote.facts import ReadError
from app.repositories.remote.sizes import ServerSizes, SizeOfDatabase
from app.repositories.size_samples import LastSizes
from app.repositories.unsized_objects import Unsized
from app.services.capacity_collection.findings import Finding, identify, joined
from app.services.capacity_collection.reading import DatabaseReading
from app.services.databases.endings import end_databases
from app.utils.collector import CollectedRarely
from app.utils.periods import day_of


@dataclass
class Written:
    """What was written for one instance, added up over its transactions."""

    databases: int = 0
    relations: int = 0
    measured: int = 0
    """Relations that were measured at this collection."""
    carried: int = 0
    """Relations whose size was measured earlier, since which the engine saw no change."""
    estimated: int = 0
    unsized: int = 0
    """Of anything: what is listed as unknown."""


@dataclass
class CollectionLedger:
    """The ledger of one instance during one collection."""

    instance_id: int
    instance_name: str
    run_item_id: int
    collected_at: datetime
    resumed: bool
    """Whether an earlier attempt at the same collection may have written a part of it."""
    zone: ZoneInfo
    written: Written = field(default_factory=Written)
    counts: Counter[ScopeStatus] = field(default_factory=Counter)
    """Scopes by the way they ended."""
    troubles: list[str] = field(default_factory=list)
    """Of each scope that was not seen fully and should have been: why not."""
    database_ids: dict[str, int] = field(default_factory=dict)
    """Of every database that the server lists, by its engine key."""

    def write_server(
        self, connection: Connection[Any], moment: datetime, server: ServerSizes, duration_ms: int
    ) -> None:
        """Write the server scope.

        1. Databases: add, rename; close those that a whole list no longer has.
        2. Storages likewise, and their sizes.
        3. What of it has no size.
        """
        at = self.collected_at
        whole = not server.missing
        if whole:
            self._end_others(connection, server.databases)
        known = databases.upsert(
            connection, self.instance_id, [one.database for one in server.databases], at
        )
        self.database_ids = {key: database.id for key, database in known.items()}
        self._write_storages(connection, server, whole)
        unsized = [
            Unsized(storage.kind, storage.name, storage.unsized)
            for storage in server.storages
            if storage.unsized is not None
        ]
        troubles = [*server.missing, *(one.why for one in unsized)]
        if server.missing:
            unsized.append(Unsized("instance", self.instance_name, joined(server.missing)))
        self._write_unsized(connection, moment, unsized)
        unsized_objects.settle_server(
            connection,
            self.instance_id,
            moment,
            whole=whole,
            sized_storages=[(s.kind, s.name) for s in server.storages if s.used_bytes is not None],
        )
        status = ScopeStatus.PARTIAL if troubles else ScopeStatus.FULL
        why = joined(troubles) if troubles else None
        self._observe(connection, moment, [_observation(None, "server", status, why, duration_ms)])
        self.counts[status] += 1
        if why is not None:
            self.troubles.append(f"server: {why.message}")
        self._mark(connection)

    @CollectedRarely()
    def write_databases(
        self, connection: Connection[Any], moment: datetime, readings: Sequence[DatabaseReading]
    ) -> None:
        """Write a few databases, in as many statements as one of them takes.

        1. Relations: add, rename; close those that a whole list no longer has.
        2. Sizes of relations and of databases.
        3. What has no size, and what has one again.

        A database that was closed meanwhile is left alone.
        """
        at = self.collected_at
        still_there = databases.hold_open(connection, [r.database_id for r in readings])
        findings = [Finding(r, at) for r in readings if r.database_id in still_there]
        if not findings:
            return
        listed = [one for one in findings if one.reading.sizes is not None]
        changes = identify(listed, lambda count: relations.new_ids(connection, count))
        if changes.new:
            relations.add(connection, changes.new, at)
        relations.update(connection, changes.changed)
        relations.close(connection, changes.gone_ids, at)
        if self.resumed:
            ids = [one.database_id for one in findings]
            size_samples.forget_relation_sizes(connection, at, ids)
        size_samples.copy_relation_sizes(
            connection,
            at,
            (
                (one.database_id, one.ids[relation.key], relation)
                for one in listed
                for relation in one.relations
                if relation.total_bytes is not None
            ),
        )
        relations.record_partitioning(connection, changes.partitioned, moment)
        relations.forget_partitioning(connection, changes.no_longer_partitioned_ids)
        size_samples.record_database_sizes(
            connection,
            self.instance_id,
            at,
            [one.sample for one in findings if one.sample is not None],
            [one.database_id for one in listed],
        )
        self._write_unsized(connection, moment, [row for one in findings for row in one.unsized])
        unsized_objects.settle_databases(
            connection,
            self.instance_id,
            moment,
            [one.database_id for one in findings],
            whole_ids=[one.database_id for one in findings if one.whole],
            sized_relation_ids=[i for one in listed if not one.whole for i in one.sized_ids],
        )
        self._observe(
            connection,
            moment,
            [
                _observation(
                    one.database_id,
                    one.reading.name,
                    one.status,
                    one.trouble,
                    one.reading.duration_ms,
                )
                for one in findings
            ],
        )
        self._count(findings)
        self._mark(connection)

    def write_end(self, connection: Connection[Any], moment: datetime, *, whole: bool) -> None:
        """Write the instance's own size, and that the collection has ended.

        Args:
            connection: Of the caller's transaction.
            moment: The store's time.
            whole: Whether every database was listed.

        """
        size_samples.record_instance_size(
            connection,
            self.instance_id,
            self.collected_at,
            list(self.database_ids.values()),
            whole=whole,
        )
        size_samples.end(connection, self.instance_id, self.collected_at, moment)
        self._mark(connection)

    def write_unreadable(
        self, connection: Connection[Any], moment: datetime, error: ReadError, duration_ms: int
    ) -> None:
        """Record that nothing could be read; every size that is known stays as it is."""
        self._write_unsized(connection, moment, [Unsized("instance", self.instance_name, error)])
        observation = _observation(None, "server", error.status, error, duration_ms)
        self._observe(connection, moment, [observation])
        size_samples.end(connection, self.instance_id, self.collected_at, moment)

    def take_over(
        self,
        connection: Connection[Any],
        listed: Sequence[SizeOfDatabase],
        last: Mapping[int, LastSizes],
    ) -> set[int]:
        """Return the databases that an earlier attempt has written, and count how they ended."""
        if not self.resumed:
            return set()
        expected = {self.database_ids[d.database.key] for d in listed if d.database.expected_skip}
        done = {i for i, sizes in last.items() if sizes.sized_at == self.collected_at}
        for row in account_scopes.observed(connection, self.run_item_id):
            if row.database_id in done:
                status = ScopeStatus(row.status)
                self.counts[status] += 1
                if status is not ScopeStatus.FULL and row.database_id not in expected:
                    self.troubles.append(f"{row.scope}: {row.reason}")
        self.written.databases += len(done)
        return done

    def _end_others(self, connection: Connection[Any], listed: Sequence[SizeOfDatabase]) -> None:
        keys = {one.database.key for one in listed}
        before = databases.open_databases(connection, self.instance_id)
        gone = {known.id: known.name for key, known in before.items() if key not in keys}
        changes = end_databases(connection, self.instance_id, gone, self.collected_at)
        if changes:
            account_changes.record(
                connection, self.run_item_id, self.instance_id, self.collected_at, changes
            )

    def _write_storages(
        self, connection: Connection[Any], server: ServerSizes, whole: bool
    ) -> None:
        at = self.collected_at
        ids = storages.upsert(connection, self.instance_id, server.storages, at)
        if whole:
            storages.close_others(connection, self.instance_id, list(ids.values()), at)
        if self.resumed:
            storages.forget_sizes(connection, self.instance_id, at)
        sized = [(ids[s.kind, s.key], s) for s in server.storages if s.used_bytes is not None]
        storages.record_sizes(connection, self.instance_id, at, sized)

    def _write_unsized(
        self, connection: Connection[Any], moment: datetime, unsized: Sequence[Unsized]
    ) -> None:
        unsized_objects.record(connection, self.instance_id, self.collected_at, moment, unsized)
        self.written.unsized += len(unsized)

    def _observe(
        self, connection: Connection[Any], moment: datetime, seen: Sequence[Observation]
    ) -> None:
        account_scopes.observe(connection, self.run_item_id, self.instance_id, moment, seen)

    def _mark(self, connection: Connection[Any]) -> None:
        day = day_of(self.collected_at, self.zone)
        capacity_periods.mark_dirty(connection, Period.DAY, day, self.instance_id)

    def _count(self, findings: Sequence[Finding]) -> None:
        written = self.written
        for one in findings:
            written.databases += one.sample is not None
            written.relations += len(one.relations)
            if one.totals is not None:
                written.measured += one.totals.measured
                written.carried += one.totals.exact - one.totals.measured
                written.estimated += one.totals.estimated
            self.counts[one.status] += 1
            if one.trouble is not None and not one.reading.expected:
                self.troubles.append(f"{one.reading.name}: {one.trouble.message}")


def begin(
    connection: Connection[Any],
    instance_id: int,
    run_item_id: int,
    moment: datetime,
    zone: ZoneInfo,
) -> tuple[datetime, bool]:
    """Record that a collection has begun, so that whatever fails later was still expected.

    Returns:
        Its moment, and whether it is that of an earlier attempt.

    """
    collected_at, resumed = size_samples.begin(connection, instance_id, run_item_id, moment)
    day = day_of(collected_at, zone)
    capacity_periods.mark_dirty(connection, Period.DAY, day, instance_id)
    return collected_at, resumed


def _observation(
    database_id: int | None,
    scope: str,
    status: ScopeStatus,
    why: ReadError | None,
    duration_ms: int,
) -> Observation:
    return Observation(
        database_id,
        scope,
        status,
        why.message if why else None,
        why.remedy if why else None,
        changed=0,
        duration_ms=duration_ms,
        expected=False,
        digest=None,
    )
