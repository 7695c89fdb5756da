from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class PartitionHealth(Model):
    """One partitioned table of our own store, as the last partition management left it."""

    __tablename__ = "partition_health"

    table_name: Mapped[str] = mapped_column(primary_key=True)
    measured_at: Mapped[datetime]
    partition_count: Mapped[int]
    runway_days: Mapped[int]
    """Days until there is no partition for new rows but the default one."""
    default_rows: Mapped[int] = mapped_column(BigInteger)
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    oldest_at: Mapped[datetime | None]
    """Where its oldest partition begins: the retention that is really there."""
    problem: Mapped[str | None]
    """What is left to do and why; NULL if it is healthy."""
