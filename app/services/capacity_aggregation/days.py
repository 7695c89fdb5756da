"""Days: computed from samples, or merged with what came late when samples are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from app.constants.capacity import Period, Scope
from app.repositories import capacity_expiry, capacity_periods, capacity_rollups
from app.repositories.capacity_periods import Computed, Marks
from app.repositories.capacity_rollups import COLLECTIONS, DAYS, SAMPLES_OF, TABLES
from app.services.capacity_aggregation.transactions import ExpiredMeanwhile, Named, span
from app.utils.periods import bounds, midnight, start_of

PARENTS = (Period.WEEK, Period.MONTH)


def compute_days(
    connection: Connection[Any], days: Sequence[date], zone: ZoneInfo, *, backlog: bool
) -> set[Named]:
    """Compute days that are dirty; return what was computed.

    1. Take the marks. Those of a transaction that has not ended yet stay for the next time.
    2. Days of which samples are gone are merged with what came late, one by one.
    3. The others are computed anew, all of them in one statement, from the samples of the dirty
       instances, or without a look at the instance when every one is dirty.
    4. Days that there were not before are added to their weeks and months: that costs what the days
       cost, not what the month does. Where a day was computed again they become dirty instead, and
       so they do in a backlog: to merge each once is cheaper than to add to it again and again.
    """
    marks = capacity_periods.take_marks(connection, Period.DAY, days)
    if not marks:
        return set()
    known = capacity_periods.computed(connection, Period.DAY, min(marks), max(marks))
    if _expire_unknown(connection, [day for day in marks if day not in known], zone):
        known = capacity_periods.computed(connection, Period.DAY, min(marks), max(marks))
    late = [day for day in marks if day in known and known[day].expired_at is not None]
    for day in late:
        _merge_late(connection, known[day], list(marks[day]))
    anew = {day: ids for day, ids in marks.items() if day not in late}
    done = {(Period.DAY, day) for day in marks}
    if anew:
        again = [day for day in anew if day in known]
        _compute_anew(connection, anew, known=bool(again), zone=zone)
        for period in PARENTS:
            dirty = anew if backlog else again
            starts = _change_parents(connection, period, anew, dirty, zone)
            done |= {(period, start) for start in starts}
    return done


def _compute_anew(
    connection: Connection[Any], marks: Marks, *, known: bool, zone: ZoneInfo
) -> None:
    first, last = min(marks), max(marks)
    days = span(first, last)
    edges = [midnight(day, zone) for day in days]
    edges.append(bounds(Period.DAY, last, zone)[1])
    everything = len(days) == len(marks) and not capacity_rollups.others_collected(
        connection, first, edges, marks
    )
    if known:
        capacity_rollups.forget_days(connection, marks, everything=everything)
    capacity_rollups.roll_up_days(connection, first, edges, marks, everything=everything)
    bounds_of = {day: bounds(Period.DAY, day, zone) for day in marks}
    if capacity_periods.record(connection, Period.DAY, bounds_of) != len(marks):
        raise ExpiredMeanwhile("samples were dropped while they were being read")


def _change_parents(
    connection: Connection[Any],
    period: Period,
    marks: Marks,
    not_added: Iterable[date],
    zone: ZoneInfo,
) -> set[date]:
    """Let weeks or months follow from their days; return which were computed."""
    dirty = {start_of(period, day) for day in not_added}
    added = {start_of(period, day) for day in marks} - dirty
    capacity_periods.mark_each(
        connection,
        (
            (period, start, instance)
            for day, ids in marks.items()
            if (start := start_of(period, day)) in dirty
            for instance in ids
        ),
    )
    if not added:
        return added
    fresh = {day: ids for day, ids in marks.items() if start_of(period, day) in added}
    capacity_rollups.add_days(
        connection,
        period,
        sorted(added),
        list(fresh),
        sorted({one for ids in fresh.values() for one in ids}),
    )
    bounds_of = {start: bounds(period, start, zone) for start in sorted(added)}
    if capacity_periods.record(connection, period, bounds_of) != len(added):
        raise ExpiredMeanwhile("days were dropped while they were being read")
    if period is Period.MONTH:
        capacity_periods.mark_each(
            connection,
            (
                (Period.QUARTER, start_of(Period.QUARTER, day), one)
                for day, ids in fresh.items()
                for one in ids
            ),
        )
    return added


def _expire_unknown(connection: Connection[Any], days: Sequence[date], zone: ZoneInfo) -> bool:
    """Let days expire that were never computed, but lie in a week or month that has expired."""
    if not days:
        return False
    expired = {
        period: {
            start
            for start, known in capacity_periods.computed(
                connection, period, start_of(period, min(days)), max(days)
            ).items()
            if known.expired_at is not None
        }
        for period in PARENTS
    }
    lying = [day for day in days if any(start_of(p, day) in expired[p] for p in PARENTS)]
    for day in lying:
        capacity_expiry.expire_unknown(connection, day, *bounds(Period.DAY, day, zone))
    return bool(lying)


def _merge_late(connection: Connection[Any], day: Computed, instances: list[int]) -> None:
    """Merge what came late into a day of which samples are gone.

    Where all counted rows of a table are gone, what is in it now is late: it is added to the
    day's state, and taken away, so that it counts once. Where a part is there still, the state is
    what was kept of the other part and all rows that there are. Weeks and months follow from the
    days, unless days of them are gone: then they, too, get what came late.
    """
    gone = capacity_expiry.expired_tables(connection, day.start_on)
    late = [table for table, whole in gone.items() if whole and table != DAYS]
    capacity_rollups.collect_parts(
        connection,
        day.starts_at,
        day.ends_at,
        tables=TABLES,
        late=late,
        instances=instances,
    )
    if DAYS not in gone:
        capacity_rollups.add_residues(
            connection,
            day.start_on,
            [table for table, whole in gone.items() if not whole],
            instances,
        )
        capacity_rollups.merge_parts(
            connection,
            Period.DAY,
            day.start_on,
            instances,
            kept=[scope for scope, table in SAMPLES_OF.items() if table in late],
            expected_kept=COLLECTIONS in late,
            only_late=False,
        )
    capacity_periods.touch(connection, Period.DAY, day.start_on)
    for period in PARENTS:
        _pass_on(connection, period, day.start_on, instances)
    connection.execute("DROP TABLE day_parts")
    if capacity_expiry.expired_tables(connection, day.start_on) != gone:
        raise ExpiredMeanwhile("samples were dropped while they were being read")


def _pass_on(
    connection: Connection[Any], period: Period, day: date, instances: Sequence[int]
) -> None:
    start = start_of(period, day)
    known = capacity_periods.computed(connection, period, start, start).get(start)
    if known is None or known.expired_at is None:
        capacity_periods.mark_each(connection, ((period, start, one) for one in instances))
        return
    capacity_rollups.merge_parts(
        connection,
        period,
        start,
        instances,
        kept=list(Scope),
        expected_kept=True,
        only_late=True,
    )
    capacity_periods.touch(connection, period, start)
    if period is Period.MONTH:
        quarter = start_of(Period.QUARTER, start)
        capacity_periods.mark_each(
            connection, ((Period.QUARTER, quarter, one) for one in instances)
        )
