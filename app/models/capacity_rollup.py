from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Identity, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class CapacityRollup(Model):
    """One object over one period: a state that can be merged with that of another period.

    A row with ``seen`` 0 says that the object was there and nobody could size it: every size of it
    is NULL.
    """

    __tablename__ = "capacity_rollups"
    __table_args__ = (
        Index("ix_capacity_rollups_start", "start_on", postgresql_using="brin"),
        {"postgresql_partition_by": "LIST (period)"},
    )

    object_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start_on: Mapped[date] = mapped_column(primary_key=True)
    """First day of the period, in the zone of the settings."""
    scope: Mapped[str] = mapped_column(primary_key=True)
    """A word of ``app.constants.capacity.Scope``: whose id ``object_id`` is."""
    period: Mapped[str] = mapped_column(primary_key=True)
    instance_id: Mapped[int]
    seen: Mapped[int]
    """Samples with a size."""
    expected: Mapped[int]
    """Collections that were begun while the object was there."""
    estimated: Mapped[int]
    """How many of ``seen`` are estimates."""
    sum_bytes: Mapped[Decimal | None] = mapped_column(Numeric)
    min_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    first_bytes: Mapped[int | None] = mapped_column(BigInteger)
    first_at: Mapped[datetime | None]
    last_bytes: Mapped[int | None] = mapped_column(BigInteger)
    last_at: Mapped[datetime | None]


class CapacityResidue(Model):
    """What is gone of a day that is still partly there as samples: a state to merge with the rest.

    Partitions end at midnight of UTC, days at that of the zone, so that dropping a partition takes
    the beginning of a day away from its end. Several rows of one object add up.
    """

    __tablename__ = "capacity_residues"
    __table_args__ = (Index("ix_capacity_residues_start", "start_on", "table_name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    table_name: Mapped[str]
    """Whose rows are gone; those of ``capacity_collections`` count as expected only."""
    start_on: Mapped[date]
    instance_id: Mapped[int]
    object_id: Mapped[int]
    scope: Mapped[str]
    seen: Mapped[int]
    expected: Mapped[int]
    estimated: Mapped[int]
    sum_bytes: Mapped[Decimal | None] = mapped_column(Numeric)
    min_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    first_bytes: Mapped[int | None] = mapped_column(BigInteger)
    first_at: Mapped[datetime | None]
    last_bytes: Mapped[int | None] = mapped_column(BigInteger)
    last_at: Mapped[datetime | None]
