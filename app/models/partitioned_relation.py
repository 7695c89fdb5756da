from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class PartitionedRelation(Model):
    """Health of one partitioned table on a server, as of the last collection."""

    __tablename__ = "partitioned_relations"

    relation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    strategy: Mapped[str]
    """range, list, hash or key."""
    partition_count: Mapped[int]
    key_definition: Mapped[str]
    last_partition: Mapped[str | None]
    last_bound: Mapped[str | None]
    """Its upper bound in the engine's own words; NULL if it is not a range."""
    last_bound_at: Mapped[datetime | None]
    """The same where it is a moment: what is left until then is the runway."""
    default_name: Mapped[str | None]
    """The partition that takes what fits nowhere else."""
    default_rows: Mapped[int | None] = mapped_column(BigInteger)
    """The engine's estimate; NULL if it has none, or there is no such partition."""
    observed_at: Mapped[datetime]
