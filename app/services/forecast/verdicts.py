"""What is said of one object, in words that the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from app.constants.capacity import ForecastStatus
from app.services.forecast.forecasting import Foretold, Learned
from app.services.forecast.histories import (
    HISTORY_DAYS,
    LEAST_DAYS,
    LEAST_SAMPLES,
    LEAST_SHARE,
    OLDEST_DAYS,
    Histories,
)

WORST_PERCENT = 50.0
"""A series whose past could not be foretold better than this is not foretold."""
_SHRINKING_DAYS = 90
_SHRINKING_SHARE = 0.005


@dataclass(frozen=True)
class Verdict:
    """One row of ``capacity_forecasts``, in the order of its columns."""

    scope: str
    object_id: int
    instance_id: int
    computed_at: datetime
    as_of: date
    current_bytes: int | None
    limit_bytes: int | None
    limit_source: str | None
    status: ForecastStatus
    reason: str | None = None
    bytes_per_day: float | None = None
    days_to_limit: float | None = None
    days_earliest: float | None = None
    days_latest: float | None = None
    history_days: int = 0
    regime_since: date | None = None
    backtest_error: float | None = None
    backtest_count: int | None = None


def facts_of(
    subject: Any, past: Histories, row: int, first_day: date, computed_at: datetime
) -> dict[str, Any]:
    """Return what every verdict about an object says, whatever its status."""
    last = int(past.last_day[row])
    known = last >= 0
    return {
        "scope": subject.scope,
        "object_id": subject.object_id,
        "instance_id": subject.instance_id,
        "computed_at": computed_at,
        "as_of": first_day + timedelta(days=last if known else HISTORY_DAYS - 1),
        "current_bytes": int(past.sizes[row, -1]) if known else None,
        "limit_bytes": subject.limit_bytes,
        "limit_source": subject.limit_source,
        "history_days": int(past.days[row]),
    }


def unknown_size(past: Histories, row: int, first_day: date) -> str | None:
    """Return why its present size is not known; None: it is."""
    last = int(past.last_day[row])
    since = int(past.unknown_since[row])
    if last < 0:
        return "it has never been sized" if since >= 0 else "no collection has seen it yet"
    usually_every = int(past.days[row]) / int(past.samples[row])
    if HISTORY_DAYS - 1 - last <= max(OLDEST_DAYS, 2 * usually_every):
        return None
    if since >= 0:
        return f"its size is unknown since {first_day + timedelta(days=since)}"
    return f"it was last collected on {first_day + timedelta(days=last)}"


def too_little(past: Histories, row: int) -> str | None:
    """Return why its history says nothing about its future; None: it does."""
    days, samples = int(past.days[row]), int(past.samples[row])
    if days < LEAST_DAYS:
        return f"its history is of {days} {_days(days)}; {LEAST_DAYS} are needed"
    if samples < max(LEAST_SAMPLES, LEAST_SHARE * days):
        return f"too many gaps: only {samples} of {days} days have a size"
    return None


def full(facts: dict[str, Any]) -> Verdict | None:
    """Return the verdict on what has reached its limit already, for which no history is needed."""
    limit, current = facts["limit_bytes"], facts["current_bytes"]
    if limit is None or current is None or current < limit:
        return None
    zero: dict[str, Any] = dict.fromkeys(("days_to_limit", "days_earliest", "days_latest"), 0.0)
    return Verdict(**facts, **zero, status=ForecastStatus.FULL)


def foretold_verdict(facts: dict[str, Any], learned: Learned, told: Foretold, row: int) -> Verdict:
    """Return what the model says of one series."""
    percent, changed = learned.done.percent[row], int(learned.changed[row])
    known = {
        **facts,
        "bytes_per_day": float(told.bytes_per_day[row]),
        "regime_since": facts["as_of"] - timedelta(days=HISTORY_DAYS - 1 - changed)
        if changed >= 0
        else None,
        "backtest_error": _or_none(percent),
        "backtest_count": int(learned.done.count[row]),
    }
    already = full(known)
    if already is not None:
        return already
    if percent > WORST_PERCENT:
        return Verdict(
            **known,
            status=ForecastStatus.CANNOT_SAY,
            reason=f"its past could not be foretold either: {percent:.0f} % off",
        )
    if facts["limit_bytes"] is None:
        return Verdict(**known, status=ForecastStatus.NO_LIMIT)
    known |= {
        "days_to_limit": _or_none(told.days[row]),
        "days_earliest": _or_none(told.earliest[row]),
        "days_latest": _or_none(told.latest[row]),
    }
    if known["days_to_limit"] is not None:
        return Verdict(**known, status=ForecastStatus.FILLS)
    shrunk = -known["bytes_per_day"] * _SHRINKING_DAYS
    enough = max(2 * float(told.noise[row]), _SHRINKING_SHARE * facts["current_bytes"])
    status = ForecastStatus.SHRINKS if shrunk > enough else ForecastStatus.STABLE
    return Verdict(**known, status=status)


def cannot_say(facts: dict[str, Any], reason: str) -> Verdict:
    """Return the verdict on what nothing can be said about."""
    return Verdict(**facts, status=ForecastStatus.CANNOT_SAY, reason=reason)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _days(count: int) -> str:
    return "day" if count == 1 else "days"
