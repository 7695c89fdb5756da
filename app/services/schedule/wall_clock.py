"""A schedule by the clock on the wall of one zone, right through the nights in which it is set.

APScheduler's own search loses fires when it crosses a change of the offset (seen with 3.11.3: the
first of April at 00:00 in Berlin, asked for before the end of March), and fires a fixed hour
twice when it repeats. So the fields are matched against a clock that is never set, and the zone
is applied here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

INSTANT = timedelta(microseconds=1)


class WallClock(BaseTrigger):  # type: ignore[misc] # APScheduler ships no types
    """Fires when the wall clock of a zone shows what the fields say.

    When the clock is set forward, a fixed hour that it jumps over is fired at the jump, once.
    When it is set back, a fixed hour is fired the first time only. A schedule of every hour, or
    of every ten minutes, goes by the time that passes instead.
    """

    def __init__(self, fields: CronTrigger, zone: ZoneInfo) -> None:
        words = {field.name: str(field) for field in fields.fields}
        self.timezone = zone
        self._steady = CronTrigger(**words, timezone=UTC)
        self._fixed_hours = "*" not in words["hour"]

    @property
    def words(self) -> dict[str, str]:
        """The fields by name, as APScheduler writes them."""
        return {field.name: str(field) for field in self._steady.fields}

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first moment after the previous one, or from now on if there was none."""
        start = previous_fire_time.astimezone(UTC) + INSTANT if previous_fire_time else now
        while True:
            found = self._from(start.astimezone(UTC))
            if found is None:
                return None
            shown = found.astimezone(self.timezone)
            if not (self._fixed_hours and shown.fold):
                return shown
            start = found + timedelta(seconds=1)  # the search began inside the repeated hour

    def _from(self, instant: datetime) -> datetime | None:
        """Return the first fire at or after an instant, change by change of the clock."""
        while True:
            offset = self._offset(instant)
            shown = self._matching(instant + offset)
            if shown is None:
                return None
            found = shown - offset
            change = self._first_change(instant, found)
            if change is None:
                return found
            later = self._offset(change)
            if self._fixed_hours:
                if later > offset and shown < change + later:
                    return change
                instant = change + max(offset - later, timedelta())
            else:
                instant = change

    def _matching(self, shown: datetime) -> datetime | None:
        found: datetime | None = self._steady.get_next_fire_time(None, shown)
        return found

    def _offset(self, instant: datetime) -> timedelta:
        return instant.astimezone(self.timezone).utcoffset() or timedelta()

    def _first_change(self, start: datetime, end: datetime) -> datetime | None:
        """Return the first moment in (start, end] at which the clock is set, to the second."""
        offset = self._offset(start)
        low = start
        while low < end:
            high = min(low + timedelta(days=1), end)
            if self._offset(high) != offset:
                while high - low > timedelta(seconds=1):
                    middle = low + (high - low) / 2
                    low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
                return high.replace(microsecond=0)
            low = high
        return None
