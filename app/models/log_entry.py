from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import BigId, Model


class LogProducer(Model):
    """One process that writes log entries, and how far they have arrived.

    Moving ``last_sequence`` in the transaction that writes a batch makes a batch that is sent twice
    arrive once.
    """

    __tablename__ = "log_producers"

    id: Mapped[BigId]
    token: Mapped[uuid.UUID] = mapped_column(unique=True)
    host: Mapped[str]
    process_id: Mapped[int]
    started_at: Mapped[datetime]
    last_sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    last_entry_at: Mapped[datetime | None]
    """Of the latest entry that arrived; an entry's time is never much before its predecessor's."""
    lost_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Entries that neither the store nor the local file could take."""


class LogEntry(Model):
    """One thing that a process of ours said. Partitioned by class, then by day."""

    __tablename__ = "log_entries"
    __table_args__ = (
        Index("ix_log_entries_time", "occurred_at"),
        Index("ix_log_entries_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        Index(
            "ix_log_entries_fingerprint",
            "fingerprint",
            "occurred_at",
            postgresql_where=text("fingerprint IS NOT NULL"),
        ),
        Index(
            "ix_log_entries_instance",
            "instance_id",
            "occurred_at",
            postgresql_where=text("instance_id IS NOT NULL"),
        ),
        {"postgresql_partition_by": "LIST (severity_class)"},
    )

    occurred_at: Mapped[datetime]
    producer_id: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Order within one producer, without a gap."""
    fingerprint: Mapped[int | None] = mapped_column(BigInteger)
    """Equal for the same error of many targets; NULL for what is neither warning nor error."""
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    item_id: Mapped[int | None] = mapped_column(BigInteger)
    instance_id: Mapped[int | None]
    severity_class: Mapped[str]
    """info (also debug), warning, or error (also critical)."""
    level: Mapped[str]
    logger: Mapped[str]
    module: Mapped[str | None]
    event: Mapped[str]
    fields: Mapped[dict[str, Any] | None]
    traceback: Mapped[str | None]

    __mapper_args__ = {"primary_key": ["producer_id", "sequence"]}  # noqa: RUF012 - read once, when the class is made
