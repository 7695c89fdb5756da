"""Weeks and months merged from days, quarters from months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from app.constants.capacity import Period
from app.repositories import capacity_periods, capacity_rollups
from app.services.capacity_aggregation.transactions import ExpiredMeanwhile, Named
from app.utils.periods import bounds, next_start, start_of

INNER = {
    Period.WEEK: Period.DAY,
    Period.MONTH: Period.DAY,
    Period.QUARTER: Period.MONTH,
}


def merge_periods(
    connection: Connection[Any], period: Period, starts: Sequence[date], zone: ZoneInfo
) -> set[Named]:
    """Compute periods that are dirty from those within them; return which.

    One of which days are gone has been merged with what came late already, and stays as it is.
    """
    taken = capacity_periods.take_marks(connection, period, starts)
    if not taken:
        return set()
    known = capacity_periods.computed(connection, period, min(taken), max(taken))
    marks = {
        start: ids
        for start, ids in taken.items()
        if start not in known or known[start].expired_at is None
    }
    if not marks:
        return set()
    capacity_rollups.merge(
        connection,
        period,
        INNER[period],
        min(marks),
        next_start(period, max(marks)),
        marks,
    )
    bounds_of = {start: bounds(period, start, zone) for start in marks}
    if capacity_periods.record(connection, period, bounds_of) != len(marks):
        raise ExpiredMeanwhile("days were dropped while they were being read")
    if period is Period.MONTH:
        capacity_periods.mark_each(
            connection,
            (
                (Period.QUARTER, start_of(Period.QUARTER, start), instance)
                for start, ids in marks.items()
                for instance in ids
            ),
        )
    return {(period, start) for start in marks}
