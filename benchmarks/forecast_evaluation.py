"""Two forecasts of the same cases beside each other: ours, and a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.services.forecast.backtest import first_day
from app.services.forecast.forecasting import HORIZON_DAYS, calibrated, foretell, learn
from benchmarks.forecast_series import Case, Floats, right_aligned

WITHIN_DAYS = 365.0
"""Days of interest: a limit that is reached later is neither counted as filling nor as never."""
_LINE_DAYS = 30
_NORMAL_80 = 1.2816
"""Of a normal distribution, 80 % lies within so many standard deviations."""


@dataclass(frozen=True)
class Answer:
    """Days until each limit is reached; inf: not within two years."""

    days: Floats
    earliest: Floats
    latest: Floats


@dataclass(frozen=True)
class Score:
    """How good an answer is. Percentages; NaN where there are no such cases."""

    median_error: float
    """Median absolute percentage error of the days, of limits that are reached within a year."""
    coverage: float
    """Share of those that are reached within their interval."""
    never_coverage: float
    """Share of limits that are never reached whose interval says that they may not be."""
    false_alarms: float
    """Share of limits that are never reached of which it says: within a year."""


def ours(cases: list[Case]) -> Answer:
    """Forecast the cases as one fleet, calibrated on nothing but its own past."""
    sizes = right_aligned(cases)
    limits = np.array([case.limit for case in cases])
    learned = list(learn(sizes))
    calibration = calibrated(learned)
    answers = []
    at = 0
    for one in learned:
        count = len(one.changed)
        told = foretell(one, calibration, limits[at : at + count])
        answers.append((told.days, told.earliest, told.latest))
        at += count
    return Answer(*(_never(np.concatenate(values)) for values in zip(*answers, strict=True)))


def straight_line(cases: list[Case]) -> Answer:
    """Extend a least-squares line over the last 30 days, with its 80 % prediction interval."""
    sizes = right_aligned(cases)[:, -_LINE_DAYS:]
    limits = np.array([case.limit for case in cases])
    time = np.arange(-_LINE_DAYS + 1, 1, dtype=np.float64)
    known = np.isfinite(sizes)
    count = known.sum(axis=1, keepdims=True)
    middle = (known * time).sum(axis=1, keepdims=True) / count
    mean = np.where(known, sizes, 0.0).sum(axis=1, keepdims=True) / count
    from_middle = np.where(known, time - middle, 0.0)
    from_mean = np.where(known, sizes - mean, 0.0)
    squares = (from_middle**2).sum(axis=1, keepdims=True)
    slope = (from_middle * from_mean).sum(axis=1, keepdims=True) / np.maximum(squares, 1e-9)
    rest = ((from_mean - slope * from_middle) ** 2).sum(axis=1, keepdims=True)
    deviation = np.sqrt(rest / np.maximum(count - 2, 1))
    ahead = np.arange(1, HORIZON_DAYS + 1) - middle
    path = mean + slope * ahead
    band = _NORMAL_80 * deviation * np.sqrt(1 + 1 / count + ahead**2 / np.maximum(squares, 1e-9))
    return Answer(*(_never(first_day(p, limits)) for p in (path, path + band, path - band)))


def score(
    cases: list[Case], answer: Answer, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Score:
    """Compare the answer with what came, for some of the cases."""
    truth = np.array([case.days_to_limit for case in cases])
    fills = chosen & (truth <= WITHIN_DAYS)
    never = chosen & np.isinf(truth)
    covered = (answer.earliest <= truth) & (truth <= answer.latest)
    with np.errstate(invalid="ignore"):
        errors = np.abs(answer.days[fills] - truth[fills]) / truth[fills]
    return Score(
        100 * float(np.median(errors)) if fills.any() else np.nan,
        _percent(covered[fills]),
        _percent(covered[never]),
        _percent(answer.days[never] <= WITHIN_DAYS),
    )


def _percent(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return 100 * float(flags.mean()) if len(flags) else np.nan


def _never(days: Floats) -> Floats:
    return np.where(np.isnan(days), np.inf, days)
