"""What a person, or another zone, wants to have computed again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from app.constants.capacity import Period
from app.repositories import capacity_periods
from app.repositories.capacity_periods import Computed
from app.services.capacity_aggregation.transactions import span
from app.utils.periods import bounds, day_of, midnight
from app.utils.refusal import Refused

EARLIEST = date(1990, 1, 1)
LATEST = date(2200, 1, 1)


def day_range(
    from_date: str | None, to_date: str | None, *, first: date | None, today: date
) -> tuple[date, date] | None:
    """Return the first and the last day that are wanted; None if no days are named.

    Args:
        from_date: An ISO date; None: the first day that there is, if ``to_date`` is given.
        to_date: An ISO date, inclusive; None: today, if ``from_date`` is given.
        first: The first day that there is.
        today: Today, in the zone of the settings.

    Raises:
        Refused: One of them is no date, or the last day is before the first.

    """
    if from_date is None and to_date is None:
        return None
    begin = _date(from_date, "--from") if from_date is not None else (first or today)
    end = _date(to_date, "--to") if to_date is not None else today
    if from_date is None:
        begin = min(begin, end)
    if end < begin:
        raise Refused(
            f"the last day, {end.isoformat()}, is before the first, {begin.isoformat()}",
            "Name the earlier day first: --from 2026-01-01 --to 2026-03-31",
        )
    return begin, end


def mark_range(connection: Connection[Any], begin: date, end: date, zone: ZoneInfo) -> list[date]:
    """Mark every day of a range, of every instance of which there is anything.

    Returns:
        The days that cannot be computed again, because samples of them are gone.

    """
    known = capacity_periods.computed(connection, Period.DAY, begin, end)
    gone = [day for day, period in known.items() if period.expired_at is not None]
    wanted = [day for day in span(begin, end) if day not in gone]
    _mark_days(connection, wanted, zone)
    return gone


def mark_other_zone(connection: Connection[Any], zone: ZoneInfo) -> int:
    """Mark the days that were computed in another zone; return how many have to stay as they are.

    A day is marked if all samples of it, as the present zone bounds it, are there.
    """
    known = capacity_periods.computed(connection, Period.DAY, EARLIEST, LATEST)
    moved = [
        period
        for day, period in known.items()
        if (period.starts_at, period.ends_at) != bounds(Period.DAY, day, zone)
    ]
    if not moved:
        return 0
    expired = [period for period in known.values() if period.expired_at is not None]
    days: set[date] = set()
    for period in moved:
        days.add(period.start_on)
        last_moment = period.ends_at - timedelta(microseconds=1)
        days.update(span(day_of(period.starts_at, zone), day_of(last_moment, zone)))
    kept = [day for day in days if _overlaps(bounds(Period.DAY, day, zone), expired)]
    _mark_days(connection, sorted(days.difference(kept)), zone)
    return sum(period.start_on in kept for period in moved)


def _mark_days(connection: Connection[Any], days: Iterable[date], zone: ZoneInfo) -> None:
    """Mark the days of every instance of which there is anything; runs of days at once."""
    for _, numbered in groupby(enumerate(days), lambda pair: pair[1].toordinal() - pair[0]):
        run = [day for _, day in numbered]
        edges = [midnight(day, zone) for day in [*run, run[-1] + timedelta(days=1)]]
        found = capacity_periods.instances_by_day(connection, run[0], edges)
        capacity_periods.mark_each(
            connection, ((Period.DAY, day, instance) for day, instance in found)
        )


def _overlaps(wanted: tuple[datetime, datetime], expired: Iterable[Computed]) -> bool:
    return any(gone.starts_at < wanted[1] and gone.ends_at > wanted[0] for gone in expired)


def _date(text: str, name: str) -> date:
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        day = None
    if day is None or not EARLIEST <= day <= LATEST:
        raise Refused(
            f"{name}: {text!r} is no day", "Write the day as 2026-01-31: year, month, day."
        )
    return day
