"""Every moment is in exactly one period of each kind, in every zone there is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constants.capacity import Period
from app.utils.periods import bounds, day_of, midnight, next_start, previous_start, start_of

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Santiago",  # clocks change at midnight
    "America/Havana",  # midnight comes twice
    "America/St_Johns",  # until 2011 one minute past midnight, back into the day before
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out 30 December 2011
    "Asia/Amman",
]
MOMENTS = st.datetimes(
    min_value=datetime(2005, 1, 1),  # noqa: DTZ001 - made aware by the strategy
    max_value=datetime(2030, 12, 31),  # noqa: DTZ001 - made aware by the strategy
    timezones=st.just(UTC),
)


@given(moment=MOMENTS, name=st.sampled_from(ZONES), period=st.sampled_from(Period))
def test_a_moment_is_within_the_bounds_of_its_period(
    moment: datetime, name: str, period: Period
) -> None:
    zone = ZoneInfo(name)
    start = start_of(period, day_of(moment, zone))
    starts_at, ends_at = bounds(period, start, zone)
    assert starts_at <= moment < ends_at


@given(
    day=st.dates(date(2005, 1, 1), date(2030, 12, 31)),
    name=st.sampled_from(ZONES),
    period=st.sampled_from(Period),
)
def test_a_period_ends_where_the_next_begins_and_consists_of_whole_days(
    day: date, name: str, period: Period
) -> None:
    zone = ZoneInfo(name)
    start = start_of(period, day)
    following = next_start(period, start)
    assert start <= day < following
    assert start_of(period, start) == start
    assert start_of(period, following) == following
    assert start_of(period, following - timedelta(days=1)) == start
    assert previous_start(period, following) == start
    assert bounds(period, start, zone)[1] == bounds(period, following, zone)[0]
    assert midnight(day, zone) <= midnight(day + timedelta(days=1), zone)


@given(moment=MOMENTS, name=st.sampled_from(ZONES))
def test_the_day_is_the_one_on_the_local_clock_but_for_a_clock_put_back_over_midnight(
    moment: datetime, name: str
) -> None:
    zone = ZoneInfo(name)
    shown = moment.astimezone(zone).date()
    day = day_of(moment, zone)
    if day != shown:
        assert day == shown + timedelta(days=1)
        earlier = (moment - timedelta(hours=2)).astimezone(zone)
        assert earlier.date() == shown
        assert (moment + timedelta(hours=2)).astimezone(zone).date() == day


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # begins at 01:00
        ("America/Santiago", date(2026, 4, 4), 25),
        ("America/Havana", date(2026, 11, 1), 25),
        ("America/Havana", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("Asia/Shanghai", date(2026, 3, 29), 24),
    ],
)
def test_a_day_is_as_long_as_it_was(name: str, day: date, hours: float) -> None:
    starts_at, ends_at = bounds(Period.DAY, day, ZoneInfo(name))
    assert ends_at - starts_at == timedelta(hours=hours)


def test_a_clock_put_back_from_past_midnight_does_not_bring_the_old_day_again() -> None:
    zone = ZoneInfo("America/St_Johns")
    before = datetime(2010, 11, 7, 2, 30, 30, tzinfo=UTC)
    assert before.astimezone(zone).isoformat() == "2010-11-07T00:00:30-02:30"
    after = before + timedelta(minutes=1)
    assert after.astimezone(zone).isoformat() == "2010-11-06T23:01:30-03:30"
    assert day_of(before, zone) == day_of(after, zone) == date(2010, 11, 7)


@pytest.mark.parametrize(
    ("day", "week", "month", "quarter"),
    [
        (date(2026, 1, 1), date(2025, 12, 29), date(2026, 1, 1), date(2026, 1, 1)),
        (date(2027, 1, 3), date(2026, 12, 28), date(2027, 1, 1), date(2027, 1, 1)),  # week 53
        (date(2024, 12, 30), date(2024, 12, 30), date(2024, 12, 1), date(2024, 10, 1)),  # week 1
        (date(2024, 2, 29), date(2024, 2, 26), date(2024, 2, 1), date(2024, 1, 1)),
        (date(2026, 6, 30), date(2026, 6, 29), date(2026, 6, 1), date(2026, 4, 1)),
    ],
)
def test_weeks_begin_on_monday_and_cross_the_year(
    day: date, week: date, month: date, quarter: date
) -> None:
    assert [start_of(period, day) for period in Period] == [day, week, month, quarter]


def test_the_last_quarter_is_followed_by_the_next_year() -> None:
    assert next_start(Period.QUARTER, date(2026, 10, 1)) == date(2027, 1, 1)
    assert next_start(Period.MONTH, date(2026, 12, 1)) == date(2027, 1, 1)
