"""Schedules in five fields, as people write them, and the triggers that they mean.

Numbers of weekdays are those of cron (0 and 7 are Sunday); APScheduler counts from Monday, so
days of the week are handed to it by name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from app.services.schedule.wall_clock import WallClock
from app.utils.refusal import Refused

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = ("minute", "hour", "day", "month", "day_of_week")
EXAMPLE = 'Five fields: minute, hour, day of month, month, day of week; for example "30 2 * * 1-5".'


class BadCron(Refused):
    """That is not a schedule."""


def trigger_of(cron: str, zone: ZoneInfo) -> WallClock:
    """Return the trigger that five fields (or six, with leading seconds) mean; raises BadCron."""
    words = cron.lower().split()
    seconds = words.pop(0) if len(words) == len(FIELDS) + 1 else "0"
    if len(words) != len(FIELDS):
        raise BadCron(f'"{cron}" has {len(words)} fields', EXAMPLE)
    given = dict(zip(FIELDS, words, strict=True))
    if given["day"] != "*" and given["day_of_week"] != "*":
        raise BadCron(
            f'"{cron}" names days of the month and days of the week',
            "Programs disagree on whether that means both or either of them: leave one at *.",
        )
    given["day_of_week"] = _weekdays(given["day_of_week"], cron)
    try:
        trigger = WallClock(CronTrigger(**given, second=seconds, timezone=UTC), zone)
        never = next_fire(trigger, datetime.now(zone)) is None
    except ValueError as wrong:
        raise BadCron(f'"{cron}" is not a schedule: {wrong}', EXAMPLE) from None
    if never:
        raise BadCron(f'"{cron}" never comes', EXAMPLE)
    return trigger


def checked_cron(cron: str, zone: ZoneInfo) -> str:
    """Return five fields in their plain form; raises BadCron."""
    if len(cron.split()) != len(FIELDS):
        raise BadCron(f'"{cron}" has {len(cron.split())} fields', EXAMPLE)
    trigger_of(cron, zone)
    return " ".join(cron.lower().split())


def cron_of(trigger: WallClock) -> str:
    """Return a trigger in five fields, weekdays by name; a sixth in front if it knows seconds."""
    fields = trigger.words
    days = ",".join(_by_name(part) for part in fields["day_of_week"].split(","))
    words = [fields["minute"], fields["hour"], fields["day"], fields["month"], days]
    return " ".join(words if fields["second"] == "0" else [fields["second"], *words])


def next_fire(trigger: WallClock, after: datetime) -> datetime | None:
    """Return the first moment later than ``after`` at which a job is to be fired; None is never."""
    return trigger.get_next_fire_time(after, after)


def latest_fire(trigger: WallClock, *, not_before: datetime, until: datetime) -> datetime | None:
    """Return the last moment in [not_before, until] at which a job was to be fired, if any."""
    # doubling windows backwards: a schedule of every minute is not walked through from the start
    if until < not_before:
        return None
    span = timedelta(minutes=2)
    while True:
        start = max(not_before, until - span)
        found: datetime | None = None
        moment = next_fire(trigger, start - timedelta(microseconds=1))
        while moment is not None and moment <= until:
            found, moment = moment, next_fire(trigger, moment)
        if found is not None or start == not_before:
            return found
        span *= 2


def _weekdays(text: str, cron: str) -> str:
    if text == "*":
        return text
    days: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            if span == "*":
                low, high = 0, 6
            else:
                low = _day(first)
                high = _day(last) if dash else (6 if step else low)
                if dash and high < low:
                    high += 7  # sat-mon goes round the end of the week
            every = int(step) if step else 1
            if every < 1:
                raise ValueError(step)  # noqa: TRY301 - reported as all the others are
        except ValueError:
            raise BadCron(
                f'"{cron}": "{part}" is not a day of the week',
                "Use 0 to 7 (0 and 7 are Sunday) or sun, mon, tue, wed, thu, fri, sat.",
            ) from None
        days.update(day % 7 for day in range(low, high + 1, every))
    return ",".join(WEEKDAYS[day] for day in sorted(days))


def _day(word: str) -> int:
    if word in WEEKDAYS:
        return WEEKDAYS.index(word)
    if word.isdigit() and int(word) <= 7:
        return int(word)
    raise ValueError(word)


def _by_name(part: str) -> str:
    """Return one part of APScheduler's field with its numbers (0 is Monday) as names."""
    span, slash, step = part.partition("/")
    names = [WEEKDAYS[(int(word) + 1) % 7] if word.isdigit() else word for word in span.split("-")]
    return "-".join(names) + slash + step
