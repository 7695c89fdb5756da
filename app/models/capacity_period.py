from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class CapacityPeriod(Model):
    """One period that has been computed, and whether it can still change."""

    __tablename__ = "capacity_periods"

    period: Mapped[str] = mapped_column(primary_key=True)
    start_on: Mapped[date] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    """The instants in which it began and ended, in the zone in which it was computed."""
    computed_at: Mapped[datetime]
    sealed_at: Mapped[datetime | None]
    """Since when it is complete: it has ended, nothing of it is dirty, so its raw rows may go."""
    expired_at: Mapped[datetime | None]
    """Since when not all is there any more that it was computed from: samples of a day, days of a
    week or month. It is never computed anew; what comes later is merged into what is there."""


class DirtyPeriod(Model):
    """One period of one instance that has to be computed, or computed again.

    Rows are only inserted and deleted. Whoever computes deletes the marks that he can see; the mark
    of a transaction that has not ended yet stays for the next time, so that nothing is lost
    without anybody waiting.
    """

    __tablename__ = "dirty_periods"
    __table_args__ = (Index("ix_dirty_periods_period", "period", "start_on"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    period: Mapped[str]
    start_on: Mapped[date]
    instance_id: Mapped[int]
    marked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ExpiredSample(Model):
    """One day of which rows of one table of samples are gone with their partition."""

    __tablename__ = "expired_samples"

    start_on: Mapped[date] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    whole: Mapped[bool]
    """Whether nothing is left of the rows that were counted. False: the day goes on in a partition
    that is still there, and the states of what is gone are in ``capacity_residues``."""
    expired_at: Mapped[datetime] = mapped_column(server_default=func.now())
