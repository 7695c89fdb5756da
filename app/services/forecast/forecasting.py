"""From sizes and limits to days: what is foretold of a whole fleet, calibrated on its own past."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from app.services.forecast.backtest import (
    AHEAD,
    BACK,
    Backtest,
    Calibration,
    backtest,
    bounds,
    calibrate,
    first_day,
)
from app.services.forecast.change_points import Cleaned, Floats, Ints
from app.services.forecast.model import Fit, fit

HORIZON_DAYS = 730
"""How far ahead anything is said."""
AT_ONCE = 256
"""Series that are computed together: as many as stay in the processor's cache."""


@dataclass(frozen=True)
class Learned:
    """What some series taught: how they grow, and how well that could be foretold."""

    fitted: Fit
    done: Backtest
    changed: Ints
    """(series,): the column of the last step or change of slope; -1: there was none."""


@dataclass(frozen=True)
class Foretold:
    """The forecast of each series; all arrays are (series,). NaN days: not within the horizon."""

    bytes_per_day: Floats
    """Over the next 30 days, purges included."""
    days: Floats
    earliest: Floats
    latest: Floats
    """Of 10 limits, 8 are reached within these days."""
    noise: Floats
    """Bytes by which a day differs from the trend, typically."""


def learn(sizes: Floats) -> Iterable[Learned]:
    """Fit and back-test series, some at a time.

    Args:
        sizes: (series, days) of bytes, a value in the last column, NaN is a day without one.

    """
    for first in range(0, len(sizes), AT_ONCE):
        some = sizes[first : first + AT_ONCE]
        fitted = fit(some)
        yield Learned(_slim(fitted), backtest(some), _changed(fitted))


def calibrated(learned: Iterable[Learned]) -> Calibration:
    """Return how wrong the forecasts of a whole fleet have been, for ``foretell``."""
    none = np.zeros((0, len(BACK), len(AHEAD)))
    return calibrate(np.concatenate([none, *(one.done.errors for one in learned)]))


def foretell(one: Learned, calibration: Calibration, limits: Floats) -> Foretold:
    """Return when each series reaches its limit.

    Args:
        one: Some series.
        calibration: Of the fleet that they are part of.
        limits: (series,) of bytes; inf where there is none.

    """
    low, peak, high = bounds(one.fitted, one.done, calibration, HORIZON_DAYS)
    return Foretold(
        one.fitted.net_slope(),
        first_day(peak, limits),
        first_day(high, limits),
        first_day(low, limits),
        one.fitted.noise,
    )


def _changed(fitted: Fit) -> Ints:
    cleaned, regime = fitted.cleaned, fitted.trend.regime
    return np.maximum(cleaned.last_step, np.where(regime > cleaned.start, regime, -1))


def _slim(fitted: Fit) -> Fit:
    """Return the fit without the series, which nothing ahead needs."""
    cleaned: Cleaned = replace(fitted.cleaned, sizes=fitted.cleaned.sizes[:, -1:].copy())
    return replace(fitted, cleaned=cleaned)
