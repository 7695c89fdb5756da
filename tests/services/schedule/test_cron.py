from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.schedule.cron import (
    BadCron,
    checked_cron,
    cron_of,
    latest_fire,
    next_fire,
    trigger_of,
)
from app.services.schedule.wall_clock import WallClock

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
SUNDAY = datetime(2026, 11, 22, tzinfo=SHANGHAI)


def days_fired(cron: str) -> list[str]:
    trigger = trigger_of(cron, SHANGHAI)
    fired = []
    moment = next_fire(trigger, SUNDAY - timedelta(seconds=1))
    while moment is not None and moment < SUNDAY + timedelta(days=7):
        fired.append(moment.strftime("%a").lower())
        moment = next_fire(trigger, moment)
    return fired


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ("0", ["sun"]),
        ("7", ["sun"]),
        ("1", ["mon"]),
        ("1-5", ["mon", "tue", "wed", "thu", "fri"]),
        ("0-2", ["sun", "mon", "tue"]),
        ("5-7", ["sun", "fri", "sat"]),
        ("sat-mon", ["sun", "mon", "sat"]),
        ("*/3", ["sun", "wed", "sat"]),
        ("1,3", ["mon", "wed"]),
        ("MON", ["mon"]),
        ("1-6/2", ["mon", "wed", "fri"]),
    ],
)
def test_weekdays_are_numbered_as_cron_numbers_them(weekdays: str, expected: list[str]) -> None:
    assert days_fired(f"0 2 * * {weekdays}") == expected


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("", "0 fields"),
        ("0 2 * *", "4 fields"),
        ("0 0 2 * * *", "6 fields"),
        ("60 2 * * *", "is not a schedule"),
        ("0 24 * * *", "is not a schedule"),
        ("0 2 * * 8", "not a day of the week"),
        ("0 2 * * funday", "not a day of the week"),
        ("0 2 * * 1/0", "not a day of the week"),
        ("0 2 30 2 *", "never comes"),
        ("0 2 1 * 1", "days of the month and days of the week"),
        ("x 2 * * *", "is not a schedule"),
    ],
)
def test_what_is_not_a_schedule_is_refused_with_what_to_write_instead(cron: str, told: str) -> None:
    with pytest.raises(BadCron, match=told) as refused:
        checked_cron(cron, SHANGHAI)
    assert refused.value.remedy


def test_a_trigger_of_the_code_is_shown_in_five_fields_with_weekdays_by_name() -> None:
    shown = {
        cron_of(WallClock(CronTrigger(**fields), SHANGHAI)): fields
        for fields in (
            {"hour": 2, "minute": 0},
            {"day_of_week": 0, "hour": 3},
            {"day_of_week": "1-4", "minute": 5},
            {"second": "*/2"},
        )
    }
    assert list(shown) == ["0 2 * * *", "0 3 * * mon", "5 * * * tue-fri", "*/2 * * * * *"]


@given(
    minute=st.integers(0, 59),
    hour=st.one_of(st.just("*"), st.integers(0, 23).map(str)),
    weekday=st.integers(0, 7),
)
@settings(max_examples=50, deadline=None)
def test_what_is_shown_means_what_was_written(minute: int, hour: str, weekday: int) -> None:
    written = trigger_of(f"{minute} {hour} * * {weekday}", SHANGHAI)
    shown = trigger_of(cron_of(written), SHANGHAI)
    assert next_fire(shown, SUNDAY) == next_fire(written, SUNDAY)


def test_a_trigger_made_without_a_zone_is_put_into_the_configured_one() -> None:
    trigger = WallClock(CronTrigger(hour=2, minute=0), BERLIN)
    assert next_fire(trigger, datetime(2026, 7, 1, tzinfo=BERLIN)) == datetime(
        2026, 7, 1, 2, tzinfo=BERLIN
    )


def fires(cron: str, first: datetime, last: datetime) -> list[str]:
    trigger = trigger_of(cron, BERLIN)
    found = []
    moment = next_fire(trigger, first)
    while moment is not None and moment <= last:
        found.append(f"{moment.astimezone(UTC):%d %H:%M}")
        moment = next_fire(trigger, moment)
    return found


AUTUMN = datetime(2026, 10, 24, 12, tzinfo=BERLIN), datetime(2026, 10, 26, 12, tzinfo=BERLIN)
SPRING = datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 3, 30, 12, tzinfo=BERLIN)


def test_in_the_night_that_has_two_o_clock_twice_a_daily_job_is_fired_once() -> None:
    assert fires("30 2 * * *", *AUTUMN) == ["25 00:30", "26 01:30"]
    assert fires("0 2 * * *", *AUTUMN) == ["25 00:00", "26 01:00"]


def test_a_search_that_begins_in_the_repeated_hour_does_not_fire_it_again() -> None:
    again = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
    assert fires("30 2 * * *", again, again + timedelta(days=2)) == ["26 01:30"]
    assert fires("*/30 * * * *", again, again + timedelta(hours=1)) == ["25 01:30", "25 02:00"]


def test_in_the_night_that_has_no_two_o_clock_a_daily_job_is_not_lost() -> None:
    assert fires("30 2 * * *", *SPRING) == ["29 01:00", "30 00:30"]
    assert fires("0 2 * * *", *SPRING) == ["29 01:00", "30 00:00"]


def test_no_fire_is_lost_by_looking_for_it_across_a_change_of_the_clock() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=BERLIN)
    assert fires("0 0 1 4 *", before, before + timedelta(days=9)) == ["31 22:00"]
    assert fires("0 0 * * *", before, before + timedelta(days=2)) == ["29 22:00", "30 22:00"]
    assert fires("30 0 * * *", before, before + timedelta(days=2)) == ["29 22:30", "30 22:30"]


@given(
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
    ),
    cron=st.sampled_from(
        ["30 2 * * *", "0 0 * * *", "*/20 * * * *", "0 * * * *", "15 1,2,3 * * *", "0 0 1 * *"]
    ),
    hours=st.integers(0, 24 * 366),
)
@settings(max_examples=80, deadline=None)
def test_fires_are_those_that_somebody_sees_who_watches_the_clock_all_day(
    zone: str, cron: str, hours: int
) -> None:
    """Oracle: minute by minute, what the wall shows, and what was jumped over."""
    wall = ZoneInfo(zone)
    minutes, hour_words, day, *_ = cron.split()
    wanted_minutes = {
        "*/20": {0, 20, 40},
        "15": {15},
        "30": {30},
        "0": {0},
    }[minutes]
    wanted_hours = None if hour_words == "*" else {int(word) for word in hour_words.split(",")}

    def shows(moment: datetime) -> bool:
        return (
            moment.minute in wanted_minutes
            and (wanted_hours is None or moment.hour in wanted_hours)
            and (day == "*" or moment.day == int(day))
        )

    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    step = timedelta(minutes=1)
    expected = []
    latest_shown = start.astimezone(wall).replace(tzinfo=None)
    for count in range(1, 60 * 50):
        instant = start + count * step
        shown = instant.astimezone(wall).replace(tzinfo=None)
        if wanted_hours is None:
            fired = shows(shown)
        else:
            passed = [latest_shown + n * step for n in range(1, (shown - latest_shown) // step + 1)]
            fired = any(shows(moment) for moment in passed)
        latest_shown = max(latest_shown, shown)
        if fired:
            expected.append(instant)
    trigger = trigger_of(cron, wall)
    found = []
    moment = next_fire(trigger, start)
    while moment is not None and moment <= start + (60 * 50 - 1) * step:
        found.append(moment.astimezone(UTC))
        moment = next_fire(trigger, moment)
    if wanted_hours is not None and _inside_a_repetition(start, wall):
        return  # what the wall showed before the watch began is not known to the oracle
    assert found == expected


def _inside_a_repetition(start: datetime, wall: ZoneInfo) -> bool:
    return bool(start.astimezone(wall).fold)


def test_an_hourly_job_goes_by_the_time_that_passes() -> None:
    night = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 4, tzinfo=BERLIN)
    assert fires("0 * * * *", *night) == [
        "24 23:00",
        "25 00:00",
        "25 01:00",
        "25 02:00",
        "25 03:00",
    ]


@given(
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 */6 * * *", "0 3 * * 1"]),
    minutes=st.integers(0, 60 * 24 * 60),
    back=st.integers(0, 60 * 24 * 40),
)
@settings(max_examples=60, deadline=None)
def test_the_latest_fire_is_the_last_of_all(cron: str, minutes: int, back: int) -> None:
    until = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    not_before = until - timedelta(minutes=back)
    trigger = trigger_of(cron, BERLIN)
    expected = None
    # an oracle that needs no cleverness: fire by fire from the start
    moment = next_fire(trigger, not_before - timedelta(microseconds=1))
    while moment is not None and moment <= until:
        expected, moment = moment, next_fire(trigger, moment)
    assert latest_fire(trigger, not_before=not_before, until=until) == expected
