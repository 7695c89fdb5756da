"""Capacity aggregation: how everything grew by day, week, month and quarter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.config import current_settings
from app.constants.capacity import Period
from app.models import db
from app.repositories import capacity_periods
from app.repositories.partitions import day_moment, ensure_partition, partition_name
from app.services.capacity_aggregation import requests
from app.services.capacity_aggregation.days import PARENTS, compute_days
from app.services.capacity_aggregation.merging import merge_periods
from app.services.capacity_aggregation.transactions import (
    Outcome,
    in_batches,
    short_transaction,
    transaction,
)
from app.services.forecast.forecast_service import forecast_service
from app.utils.periods import day_of, start_of

_REFUSED_TOLD = 31
_MOST_ADDED = 3
"""More days than these at once are merged into weeks and months at the end, not one by one."""


class CapacityAggregationService:
    """Keeps the states of all periods equal to what the samples say."""

    def aggregate(self, from_date: str | None = None, to_date: str | None = None) -> dict[str, Any]:
        """Compute every period that is dirty, seal what is complete.

        1. Unseal what is dirty.
        2. Mark what was computed in another zone, and the days that are asked for.
        3. Compute days, then weeks and months from them, then quarters.
        4. Seal what ended long enough ago.
        5. Foretell anew when everything is full.

        Each step commits by itself, so that it can be ended anywhere and begun again. What cannot
        be computed keeps its marks, and hinders nothing else.

        Args:
            from_date: Compute again from this day on, an ISO date in the zone of the settings.
            to_date: And up to this one, inclusive.

        Returns:
            ``success_count`` and ``failed_count`` (periods), ``days``, ``weeks``, ``months``,
            ``quarters``, ``unsealed``, ``sealed``, ``refused_days`` (asked for, but samples of
            them are gone), ``refused_count``, ``other_zone_days`` (they stay as an earlier zone
            bounded them), ``errors`` (the first few), ``forecast`` (what it computed, or its
            ``error``, which fails nothing else).

        Raises:
            Refused: The days that are asked for make no sense.

        """
        settings = current_settings()
        zone = settings.zone
        refused = self._mark_requested(from_date, to_date, zone)
        with short_transaction() as connection:
            other_zone = requests.mark_other_zone(connection, zone)
            unsealed = capacity_periods.unseal(connection)
        outcomes = [self._compute(period, zone) for period in Period]
        done = set().union(*(outcome.done for outcome in outcomes))
        counts = Counter(period for period, _ in done)
        ended_before = datetime.now(UTC) - timedelta(days=settings.seal_after_days)
        with transaction() as connection:
            sealed = capacity_periods.seal(connection, ended_before)
        result: dict[str, Any] = {
            "success_count": len(done),
            "failed_count": sum(outcome.failed for outcome in outcomes),
            **{f"{period.value}s": counts[period] for period in Period},
            "unsealed": unsealed,
            "sealed": sealed,
            "refused_count": len(refused),
            "refused_days": [day.isoformat() for day in refused[:_REFUSED_TOLD]],
            "other_zone_days": other_zone,
            "errors": [error for outcome in outcomes for error in outcome.errors],
        }
        result["forecast"] = forecast_service.refresh_or_tell()
        if refused:
            result["note"] = (
                f"{len(refused)} days cannot be computed again, because samples of them have"
                " expired; what was computed of them stays"
            )
        return result

    def check_range(self, from_date: str | None, to_date: str | None) -> None:
        """Say whether days make sense, without computing anything.

        Raises:
            Refused: They do not.

        """
        today = day_of(datetime.now(UTC), current_settings().zone)
        requests.day_range(from_date, to_date, first=None, today=today)

    def _mark_requested(
        self, from_date: str | None, to_date: str | None, zone: ZoneInfo
    ) -> list[date]:
        today = day_of(datetime.now(UTC), zone)
        with short_transaction() as connection:
            wanted = requests.day_range(
                from_date,
                to_date,
                first=capacity_periods.first_day(connection),
                today=today,
            )
            return requests.mark_range(connection, *wanted, zone) if wanted else []

    def _compute(self, period: Period, zone: ZoneInfo) -> Outcome:
        with short_transaction() as connection:
            starts = capacity_periods.dirty_starts(connection, period)
        changed = (period, *PARENTS) if period is Period.DAY else (period,)
        for one in changed:
            self._ensure_partitions(one, {start_of(one, start) for start in starts})
        if period is Period.DAY:
            return in_batches(
                period,
                starts,
                lambda connection, batch: compute_days(
                    connection, batch, zone, backlog=len(starts) > _MOST_ADDED
                ),
            )
        return in_batches(
            period,
            starts,
            lambda connection, batch: merge_periods(connection, period, batch, zone),
        )

    def _ensure_partitions(self, period: Period, starts: Collection[date]) -> None:
        table = f"capacity_rollups_{period.value}"
        wanted = {partition_name(table, day_moment(start)): start for start in starts}
        for start in wanted.values():
            with short_transaction():
                ensure_partition(db.session.connection(), table, day_moment(start))


capacity_aggregation_service = CapacityAggregationService()
