"""What the answers about sizes look like. Bytes are exact; None is unknown, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Certainty(StrEnum):
    """How a size came to be known."""

    MEASURED = "measured"
    UNCHANGED = "unchanged"
    """Measured at an earlier collection, since which the engine saw no change."""
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TopRow:
    """Something that has a size, in a list of the biggest."""

    instance: str
    database: str | None
    name: str | None
    """Of the relation (with its schema) or of the storage."""
    kind: str
    """instance, database, tablespace, volume, or the relation's own kind."""
    total_bytes: int | None
    """None if a part of it is unknown: then ``known_bytes`` is what the rest sums up to."""
    known_bytes: int | None
    unsized_parts: int
    """How many databases of an instance, or relations of a database, have no size."""
    share: float | None
    """Of everything that is known in the same list; a relation's of its database, a storage's of
    what it can hold at most."""
    certainty: Certainty
    exact_at: datetime | None
    """When it was measured; None for an estimate."""
    as_of: datetime | None
    """Of which collection it is."""
    stale: bool
    """Whether the last collection of its instance could not size it, so that this one is older."""
    free_bytes: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True)
class TopList:
    """The biggest, and how much has no size and could be among them."""

    rows: list[TopRow]
    unsized_count: int


@dataclass(frozen=True)
class UnsizedRow:
    """Something whose size is unknown: not zero, and not gone."""

    instance: str
    database: str | None
    name: str
    kind: str
    """instance, database, tablespace, volume, relations (all of one database), or the relation's
    own kind."""
    reason_code: str
    reason: str
    remedy: str | None
    """What to do about it: a sentence, or SQL to paste."""
    since: datetime
    """Since when without a break."""
    observed_at: datetime


@dataclass(frozen=True)
class UnsizedList:
    """What is unknown, and whether there is more of it than was asked for."""

    rows: list[UnsizedRow]
    more: bool


@dataclass(frozen=True)
class DatabaseRow:
    """One database of an instance, as of the collection that sized it last."""

    database: str
    total_bytes: int | None
    data_bytes: int | None
    """With TOAST; like every part of the split None unless it is known of each relation."""
    index_bytes: int | None
    free_bytes: int | None
    allocated_bytes: int | None
    error_bytes: int | None
    """By how much the sizes of its relations may be wrong together."""
    relation_count: int | None
    exact_relations: int | None
    estimated_relations: int | None
    unsized_relations: int | None
    as_of: datetime | None
    stale: bool


@dataclass(frozen=True)
class InstanceDetail:
    """Everything about the sizes of one instance."""

    instance: str
    engine: str
    version: str | None
    total_bytes: int | None
    known_bytes: int | None
    database_count: int | None
    unsized_databases: int | None
    as_of: datetime | None
    last_collected_at: datetime | None
    stale: bool
    """Whether the last collection could not even list what there is, or has not ended."""
    unsized_reason: str | None
    storages: list[TopRow]
    databases: list[DatabaseRow]
    largest: list[TopRow]
    unsized: UnsizedList


@dataclass(frozen=True)
class RelationRow:
    """One relation, as of the collection that sized it last."""

    name: str
    """With its schema."""
    kind: str
    total_bytes: int | None
    data_bytes: int | None
    toast_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None
    allocated_bytes: int | None
    row_estimate: int | None
    certainty: Certainty
    exact_at: datetime | None
    as_of: datetime | None


@dataclass(frozen=True)
class PartitioningRow:
    """How one partitioned table stands."""

    name: str
    strategy: str
    partition_count: int
    key_definition: str
    last_partition: str | None
    last_bound: str | None
    last_bound_at: datetime | None
    default_name: str | None
    default_rows: int | None


@dataclass(frozen=True)
class DatabaseDetail:
    """Everything about the sizes of one database."""

    instance: str
    database: DatabaseRow
    largest: list[RelationRow]
    partitioned: list[PartitioningRow]
    """Of the largest relations."""
    unsized: UnsizedList


@dataclass(frozen=True)
class RelationDetail:
    """One relation, with its partitions if it has any."""

    instance: str
    database: str
    relation: RelationRow
    first_seen_at: datetime
    partitioning: PartitioningRow | None
    partitions: list[RelationRow]
    """The biggest first."""
