"""Options that several commands share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A moment: ``36h`` or ``7d`` ago, or an ISO date or time in the configured zone."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment as an aware datetime."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d{1,6})([mhdw])", str(value))
        try:
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            moment = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no moment: write 36h, 7d, 2026-05-31 or 2026-05-31T18:00", param, ctx
            )
        if moment.tzinfo is None:
            from app.config import load_settings

            moment = moment.replace(tzinfo=load_settings().zone)
        return moment


MOMENT = Moment()


def words_of(words: type[StrEnum]) -> click.Choice[str]:
    """Return the choice among the values of an enumeration."""
    return click.Choice([word.value for word in words])
