"""Days, weeks, months and quarters of one zone: which one a moment is in, and when it begins.

A period is named by its first day. Its bounds are instants, so that a local day has 23 or 25 hours
where clocks change, and days and their bounds never leave a gap or overlap.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.constants.capacity import Period

_SECOND = timedelta(seconds=1)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the local day within whose bounds an aware moment lies.

    That is the date on the local clock, unless the clock was put back from a few minutes past
    midnight into the day before: the day that has begun goes on then.
    """
    day = moment.astimezone(zone).date()
    following = day + timedelta(days=1)
    return following if moment >= midnight(following, zone) else day


def start_of(period: Period, day: date) -> date:
    """Return the first day of the period in which the day lies; weeks are those of ISO 8601."""
    if period is Period.DAY:
        return day
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    if period is Period.MONTH:
        return day.replace(day=1)
    return day.replace(month=day.month - (day.month - 1) % 3, day=1)


def next_start(period: Period, start: date) -> date:
    """Return the first day of the period that follows the one that starts on this day."""
    if period is Period.DAY:
        return start + timedelta(days=1)
    if period is Period.WEEK:
        return start + timedelta(days=7)
    months = start.year * 12 + start.month - 1 + (1 if period is Period.MONTH else 3)
    return date(months // 12, months % 12 + 1, 1)


def previous_start(period: Period, start: date) -> date:
    """Return the first day of the period before the one that starts on this day."""
    return start_of(period, start - timedelta(days=1))


def bounds(period: Period, start_on: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants, in UTC, at which the period begins and the next one begins.

    A moment is in the period if and only if it is not before the first and before the second.
    """
    return midnight(start_on, zone), midnight(next_start(period, start_on), zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which a local day begins.

    It is the first moment after the gap where a clock change leaves midnight out, and the first
    of the two where it comes twice.
    """
    local = datetime.combine(day, time.min)
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    return _end_of_gap(second, first, day, zone)


def _end_of_gap(before: datetime, after: datetime, day: date, zone: ZoneInfo) -> datetime:
    """Return the first whole second between the two whose local day is ``day`` or later."""
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).date() >= day:
            after = middle
        else:
            before = middle
    return after
