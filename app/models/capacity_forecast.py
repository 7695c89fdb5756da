from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class CapacityLimit(Model):
    """How much of something may be used, as a person has said."""

    __tablename__ = "capacity_limits"

    scope: Mapped[str] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    limit_bytes: Mapped[int] = mapped_column(BigInteger)
    set_at: Mapped[datetime] = mapped_column(server_default=func.now())
    set_by: Mapped[str | None]


class CapacityForecast(Model):
    """When one object reaches its limit, as of the last aggregation, and how good that guess is."""

    __tablename__ = "capacity_forecasts"
    __table_args__ = (
        Index(
            "ix_capacity_forecasts_days",
            "days_to_limit",
            postgresql_where=text("days_to_limit IS NOT NULL"),
        ),
    )

    scope: Mapped[str] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instance_id: Mapped[int]
    computed_at: Mapped[datetime]
    as_of: Mapped[date]
    """The day of its last sample, from which days are counted; without one: of the forecast."""
    current_bytes: Mapped[int | None] = mapped_column(BigInteger)
    limit_bytes: Mapped[int | None] = mapped_column(BigInteger)
    limit_source: Mapped[str | None]
    """volume, tablespace or threshold."""
    status: Mapped[str]
    """A word of ``app.constants.capacity.ForecastStatus``."""
    reason: Mapped[str | None]
    """Why it cannot be said."""
    bytes_per_day: Mapped[float | None]
    days_to_limit: Mapped[float | None]
    """From ``as_of``; NULL if it does not fill within the horizon."""
    days_earliest: Mapped[float | None]
    days_latest: Mapped[float | None]
    """The interval, which is to hold 8 of 10; NULL at its end: it may never fill."""
    history_days: Mapped[int]
    regime_since: Mapped[date | None]
    """The day of the last step (a purge, a restore) or change of slope; NULL: there was none."""
    backtest_error: Mapped[float | None]
    """Median absolute error, in percent, of the largest sizes that it would have foretold for up to
    180 days that have passed."""
    backtest_count: Mapped[int | None]
