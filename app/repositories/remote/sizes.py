"""What every reader answers about capacity, whatever the engine.

Bytes are whole numbers as the files on disk have them (``stat``'s size, not its blocks). None is
"unknown", never 0. A reader gives what it could measure, and lists beside it what it could not and
why; it raises ReadError only if it cannot say anything at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.constants.capacity import RelationKind, StorageKind
from app.repositories.remote.facts import DatabaseFact, ReadError


@dataclass(frozen=True)
class SizeOfDatabase:
    """One database as a whole."""

    database: DatabaseFact
    total_bytes: int | None
    """None if the server scope cannot say it: then it is the sum of its relations, if that is
    whole, or unknown for the reason in ``unsized``."""
    unsized: ReadError | None = None


@dataclass(frozen=True)
class SizeOfStorage:
    """One tablespace or volume."""

    kind: StorageKind
    key: str
    name: str
    used_bytes: int | None
    """None: it exists, and could not be sized for the reason in ``unsized``."""
    free_bytes: int | None = None
    limit_bytes: int | None = None
    unsized: ReadError | None = None


@dataclass(frozen=True)
class ServerSizes:
    """The server scope: which databases and storages there are, and how big they are.

    ``databases`` is always whole; a reader that cannot list all of them raises ReadError, or says
    so in ``missing``, and then nobody concludes that one is gone.
    """

    databases: tuple[SizeOfDatabase, ...]
    storages: tuple[SizeOfStorage, ...]
    version: str
    missing: tuple[ReadError, ...] = ()
    """Why the lists of databases or storages may not be whole."""


@dataclass(frozen=True)
class KnownSize:
    """What the ledger holds of one relation since the last collection."""

    total_bytes: int
    data_bytes: int | None
    toast_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None
    allocated_bytes: int | None
    exact_at: datetime | None
    change_mark: int | None


@dataclass(frozen=True, slots=True)
class SizeOfRelation:
    """One relation. Those that only group others (a partitioned table) are 0 bytes here."""

    key: str
    schema: str | None
    name: str
    kind: RelationKind
    parent_key: str | None = None
    """The topmost partitioned table that it is a part of."""
    total_bytes: int | None = None
    """None if it could not be sized; then ``unsized_kind`` says why."""
    data_bytes: int | None = None
    toast_bytes: int | None = None
    index_bytes: int | None = None
    free_bytes: int | None = None
    allocated_bytes: int | None = None
    row_estimate: int | None = None
    exact_at: datetime | None = None
    """Now if measured now; that of ``KnownSize`` if carried over because the engine saw no change;
    None if ``total_bytes`` is an estimate."""
    change_mark: int | None = None
    """A number that changes when the engine sees the relation change; None if it cannot say."""
    unsized: ReadError | None = None


@dataclass(frozen=True)
class PartitioningFact:
    """How one partitioned table stands."""

    key: str
    """Of the partitioned relation."""
    strategy: str
    partition_count: int
    key_definition: str
    last_partition: str | None = None
    last_bound: str | None = None
    last_bound_at: datetime | None = None
    default_name: str | None = None
    default_rows: int | None = None


@dataclass(frozen=True)
class DatabaseSizes:
    """Every relation of one database.

    ``relations`` lists each that exists, sized or not: what is not in it is gone, unless
    ``missing`` says why the list may not be whole.
    """

    relations: tuple[SizeOfRelation, ...]
    total_bytes: int | None = None
    """Where this scope knows it better than the server scope."""
    error_bytes: int | None = None
    """By how much the relations' sizes may be wrong together, because some are estimates; 0 if
    each was measured; None if there is nothing to compare them with."""
    missing: tuple[ReadError, ...] = ()
    partitioned: tuple[PartitioningFact, ...] = ()


@dataclass
class Budget:
    """How long one database may be measured.

    What does not fit is estimated, and its turn comes first next time.
    """

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def left_seconds(self) -> float:
        """How much is left; never negative."""
        return max(0.0, self.seconds - (time.monotonic() - self.started))


Known = Mapping[str, KnownSize]
"""By engine key; read-only, and empty at the first collection."""
Checkpoint = Callable[[], None]
"""Raises if nobody wants the result any more; to be called between two chunks."""
