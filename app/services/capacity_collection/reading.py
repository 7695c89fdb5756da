"""Read the sizes of one instance, a few databases at once, within its budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from app.constants.reading import FailureKind, ScopeStatus
from app.repositories.relations import KnownRelation
from app.repositories.remote import EngineReader
from app.repositories.remote.facts import ReadError, Receipt, Target
from app.repositories.remote.sizes import (
    Budget,
    Checkpoint,
    DatabaseSizes,
    Known,
    ServerSizes,
    SizeOfDatabase,
)
from app.services.instances.reading import several_at_once, twice_if_it_passes


@dataclass(frozen=True)
class KnownContent:
    """What the ledger holds of the relations of one database."""

    relations: Mapping[str, KnownRelation] = field(default_factory=dict)
    sizes: Known = field(default_factory=dict)


@dataclass(frozen=True)
class DatabaseReading:
    """How the read of one database ended. ``sizes`` is None if none of its relations is known."""

    database_id: int
    whole: SizeOfDatabase
    status: ScopeStatus
    duration_ms: int = 0
    sizes: DatabaseSizes | None = None
    known: KnownContent = KnownContent()
    error: ReadError | None = None
    """Why its relations could not be listed."""
    expected: bool = False
    """A skip that every healthy server of the engine shows: it does not make a run partial."""

    @property
    def name(self) -> str:
        """The scope's name as observations show it."""
        return self.whole.database.name


@dataclass(frozen=True)
class Limits:
    """How much may be done at once, and for how long."""

    databases_at_once: int
    database_seconds: float
    instance_seconds: float
    started: float
    """``time.monotonic()`` when the work on the instance began."""

    def budget(self) -> Budget:
        """Return what one more database may take now."""
        left = self.instance_seconds - (time.monotonic() - self.started)
        return Budget(max(0.0, min(self.database_seconds, left)))


def read_server(reader: EngineReader, target: Target, receipt: Receipt) -> ServerSizes:
    """Read which databases and storages there are, and how big they are.

    Raises:
        ReadError: Nothing may be concluded about anything.

    """
    with reader.connect(target, receipt) as session:
        return reader.read_server_sizes(session)


@contextmanager
def read_databases(
    reader: EngineReader,
    target: Target,
    receipt: Receipt,
    version: str,
    databases: Sequence[tuple[int, SizeOfDatabase]],
    known_of: Callable[[int], KnownContent],
    limits: Limits,
    checkpoint: Checkpoint,
) -> Iterator[Iterator[DatabaseReading]]:
    """Read databases in this order; yields one reading each as they end.

    What the ledger knows of one is asked for in the caller's thread when its turn comes.
    """
    reads = (
        partial(
            _read_database,
            reader,
            target,
            receipt,
            version,
            database_id,
            whole,
            known_of(database_id),
            limits,
            checkpoint,
        )
        for database_id, whole in databases
    )
    with several_at_once(
        reads, at_once=limits.databases_at_once, checkpoint=checkpoint
    ) as readings:
        yield readings


def skipped(database_id: int, whole: SizeOfDatabase) -> DatabaseReading:
    """Return the reading of a database that cannot be looked into."""
    database = whole.database
    return DatabaseReading(
        database_id,
        whole,
        ScopeStatus.SKIPPED,
        error=ReadError(FailureKind.SKIPPED, database.skip_reason or "it cannot be looked into"),
        expected=database.expected_skip,
    )


def _read_database(
    reader: EngineReader,
    target: Target,
    receipt: Receipt,
    version: str,
    database_id: int,
    whole: SizeOfDatabase,
    known: KnownContent,
    limits: Limits,
    checkpoint: Checkpoint,
) -> DatabaseReading:
    started = time.monotonic()
    budget = limits.budget()
    if not budget.seconds:
        return DatabaseReading(
            database_id,
            whole,
            ScopeStatus.SKIPPED,
            error=ReadError(
                FailureKind.BUDGET,
                f"the {limits.instance_seconds:g} s that the sizes of one instance may take were "
                "used up; its turn comes first next time",
                "Allow more: WHALEFALL_CAPACITY_INSTANCE_SECONDS, or read more databases at once: "
                "WHALEFALL_DATABASES_AT_ONCE",
            ),
        )
    try:
        sizes = twice_if_it_passes(
            lambda: reader.read_database_sizes(
                target, whole.database, known.sizes, budget, receipt, version, checkpoint
            )
        )
    except ReadError as error:
        return DatabaseReading(
            database_id, whole, error.status, ms_since(started), known=known, error=error
        )
    unknown = sizes.missing or any(r.total_bytes is None for r in sizes.relations)
    return DatabaseReading(
        database_id,
        whole,
        ScopeStatus.PARTIAL if unknown else ScopeStatus.FULL,
        ms_since(started),
        sizes,
        known,
    )


def ms_since(started: float) -> int:
    """Return how many milliseconds have passed since that ``time.monotonic()``."""
    return round((time.monotonic() - started) * 1000)
