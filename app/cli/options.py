"""Options that several commands share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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


class Days(click.ParamType[int]):
    """A number of days ahead: ``90d`` or ``8w``."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of days."""
        if isinstance(value, int):
            return value
        told = re.fullmatch(r"(\d{1,4})([dw])", str(value))
        if told is None:
            self.fail(f"{value!r} is no number of days: write 90d or 8w", param, ctx)
        return int(told[1]) * (7 if told[2] == "w" else 1)


AHEAD_DAYS = Days()


class Size(click.ParamType[int]):
    """A number of bytes: ``500GiB`` (1024 each) or ``500GB`` (1000 each)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes; at least 1."""
        if isinstance(value, int):
            return value
        told = re.fullmatch(r"(\d{1,19}(?:\.\d{1,6})?)\s*(?:([kmgtpe])(i?))?b?", str(value).lower())
        size_bytes = 0
        if told is not None:
            step = 1024 if told[3] else 1000
            power = "kmgtpe".index(told[2]) + 1 if told[2] else 0
            size_bytes = int(Decimal(told[1]) * step**power)
        if not 0 < size_bytes < 2**63:
            self.fail(f"{value!r} is no size: write 500GiB, 1.5TB or 800000000", param, ctx)
        return size_bytes


SIZE = Size()


def words_of(words: type[StrEnum]) -> click.Choice[str]:
    """Return the choice among the values of an enumeration."""
    return click.Choice([word.value for word in words])
