"""What each capacity collection found. Partitioned by time; bytes as the engine says them.

All samples of one collection carry the same ``collected_at``, the store's time when it began.
There are no primary keys: an item writes each database once, and is fenced by its attempt.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model

_BY_TIME = {"postgresql_partition_by": "RANGE (collected_at)"}


class CapacityCollection(Model):
    """One collection that was begun on one instance, whether it found anything or not."""

    __tablename__ = "capacity_collections"
    __table_args__ = (Index("ix_capacity_collections_item", "run_item_id"), _BY_TIME)

    instance_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    collected_at: Mapped[datetime] = mapped_column(primary_key=True)
    run_item_id: Mapped[int] = mapped_column(BigInteger)
    ended_at: Mapped[datetime | None]


class InstanceSize(Model):
    """All databases of one instance together."""

    __tablename__ = "instance_sizes"
    __table_args__ = (
        Index("ix_instance_sizes_instance", "instance_id", "collected_at"),
        _BY_TIME,
    )

    collected_at: Mapped[datetime]
    total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """NULL if any database could not be sized: a sum of what is known is not the total."""
    known_bytes: Mapped[int] = mapped_column(BigInteger)
    instance_id: Mapped[int]
    database_count: Mapped[int]
    unsized_databases: Mapped[int]

    __mapper_args__ = {"primary_key": ["instance_id", "collected_at"]}  # noqa: RUF012 - read once, when the class is made


class DatabaseSize(Model):
    """One database. ``data_bytes`` and ``index_bytes`` are NULL where only the sum is known."""

    __tablename__ = "database_sizes"
    __table_args__ = (
        Index("ix_database_sizes_database", "database_id", "collected_at"),
        Index("ix_database_sizes_instance", "instance_id", "collected_at"),
        _BY_TIME,
    )

    collected_at: Mapped[datetime]
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    data_bytes: Mapped[int | None] = mapped_column(BigInteger)
    index_bytes: Mapped[int | None] = mapped_column(BigInteger)
    free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    allocated_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """By how much the sizes of its relations may be wrong together; 0 if each was measured."""
    instance_id: Mapped[int]
    database_id: Mapped[int]
    relation_count: Mapped[int | None]
    """NULL if its relations could not be listed."""
    exact_relations: Mapped[int | None]
    estimated_relations: Mapped[int | None]
    unsized_relations: Mapped[int | None]

    __mapper_args__ = {"primary_key": ["database_id", "collected_at"]}  # noqa: RUF012 - read once, when the class is made


class RelationSize(Model):
    """One relation. A partitioned one has the sum of its partitions."""

    __tablename__ = "relation_sizes"
    __table_args__ = (
        Index("ix_relation_sizes_database", "database_id", "collected_at"),
        _BY_TIME,
    )

    collected_at: Mapped[datetime]
    exact_at: Mapped[datetime | None]
    """When these bytes were measured: at this collection, or at an earlier one since which the
    engine saw no change. NULL: they are an estimate."""
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    data_bytes: Mapped[int | None] = mapped_column(BigInteger)
    toast_bytes: Mapped[int | None] = mapped_column(BigInteger)
    index_bytes: Mapped[int | None] = mapped_column(BigInteger)
    free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    allocated_bytes: Mapped[int | None] = mapped_column(BigInteger)
    row_estimate: Mapped[int | None] = mapped_column(BigInteger)
    change_mark: Mapped[int | None] = mapped_column(BigInteger)
    """Equal marks of two collections: the engine saw no change in between."""
    database_id: Mapped[int]
    relation_id: Mapped[int]

    __mapper_args__ = {"primary_key": ["relation_id", "collected_at"]}  # noqa: RUF012 - read once, when the class is made


class StorageSize(Model):
    """One tablespace or volume."""

    __tablename__ = "storage_sizes"
    __table_args__ = (Index("ix_storage_sizes_storage", "storage_id", "collected_at"), _BY_TIME)

    collected_at: Mapped[datetime]
    used_bytes: Mapped[int] = mapped_column(BigInteger)
    free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    limit_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """What it can hold at most; NULL if unknown, or without a limit of its own."""
    instance_id: Mapped[int]
    storage_id: Mapped[int]

    __mapper_args__ = {"primary_key": ["storage_id", "collected_at"]}  # noqa: RUF012 - read once, when the class is made
