"""How good the forecast has been: the same model, at days in the past, against what came after.

From its errors come the interval (split conformal prediction: quantiles of past errors, Vovk et al.
2005; Lei et al. 2018) and the error that is shown beside each forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.services.forecast.change_points import Bools, Floats, clean
from app.services.forecast.model import Fit, fit

COVERAGE = 0.8
"""Share of intervals that hold the day on which the limit is reached."""
BACK = (14, 30, 45, 60, 90, 120, 180)
"""Days before the end from which is forecast again."""
AHEAD = (1, 3, 7, 14, 30, 60, 90, 120, 180)
"""Days ahead at which a forecast is compared."""
LEAST_DAYS = 14
_LEVELS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)

USUAL = np.array(
    [
        [-1.18, -1.23, -1.09, -0.95, -0.89, -0.80, -0.74, -0.68, -0.59],
        [1.18, 0.77, 0.64, 0.61, 0.77, 1.06, 1.20, 1.42, 1.72],
    ]
)
"""(levels, ahead): quantiles of the errors, over the spread, of the generated series of
``benchmarks.forecasts``; what is assumed of a fleet that has no past yet."""
USUAL_SIZE = np.array([0.73, 0.64, 0.57, 0.50, 0.47, 0.42, 0.36, 0.34, 0.27])
"""(ahead,): median of the absolute errors over the spread, of the same series."""
_USUAL_COUNTS = 30.0
"""As many series as the usual quantiles count as."""
_OWN = 1.0
"""How many days in the past a series needs for its own errors to count half."""
_MOST = 20.0


@dataclass(frozen=True)
class Backtest:
    """What was foretold and what came, for each series, day in the past and day ahead."""

    errors: Floats
    """(series, back, ahead): how much larger the peak was than foretold, over the spread that the
    model gave, had no step happened meanwhile; NaN where it cannot be compared."""
    percent: Floats
    """(series,): median absolute error of the peak in percent, steps and all; NaN: never
    compared."""
    count: NDArray[np.int64]
    """(series,): comparisons."""


def backtest(sizes: Floats) -> Backtest:
    """Forecast every series again from each of BACK days before its end.

    Args:
        sizes: (series, days) of bytes, right-aligned, NaN is a day without a sample.

    """
    series, days = sizes.shape
    errors = np.full((series, len(BACK), len(AHEAD)), np.nan)
    relative = np.full((series, len(BACK), len(AHEAD)), np.nan)
    observed = np.isfinite(sizes)
    calm = clean(sizes).sizes
    for n, back in enumerate(BACK):
        if days - back < LEAST_DAYS:
            break
        past = sizes[:, : days - back]
        seen = observed[:, : days - back]
        usable = seen[:, -3:].any(axis=1) & (seen.sum(axis=1) >= LEAST_DAYS)
        usable &= np.argmax(seen, axis=1) <= days - back - LEAST_DAYS
        if not usable.any():
            continue
        past = past[usable].copy()
        past[:, -1] = _last(past[:, -3:])
        fitted = fit(past)
        ahead = [h for h in AHEAD if h <= back]
        columns = np.array(ahead) - 1
        foretold = fitted.peak(ahead[-1])[:, columns]
        spread = spread_of(fitted, ahead[-1])[:, columns]
        window = slice(days - back, days - back + ahead[-1])
        came = np.fmax.accumulate(sizes[usable, window], axis=1)[:, columns]
        # What happened once meanwhile (a purge, a restore) is no error of the trend: taken out.
        grown = calm[usable, window] - calm[usable, days - back - 1 : days - back]
        grown = np.where(observed[usable, window], past[:, -1:] + grown, np.nan)
        calmly = np.fmax.accumulate(grown, axis=1)[:, columns]
        errors[usable, n, : len(ahead)] = (calmly - foretold) / spread
        with np.errstate(divide="ignore", invalid="ignore"):  # a size of 0 has no percentage
            percent = 100 * np.abs(came - foretold) / came
        relative[usable, n, : len(ahead)] = np.where(came > 0, percent, np.nan)
    count = np.isfinite(relative).sum(axis=(1, 2))
    flat = relative.reshape(series, -1)
    percent = np.full(series, np.nan)
    some = count > 0
    percent[some] = np.nanmedian(flat[some], axis=1)
    return Backtest(errors, percent, count)


def spread_of(fitted: Fit, horizon: int) -> Floats:
    """Return the model's spread, never so small that it divides by nothing."""
    least = 1e-9 * np.abs(fitted.trend.level) + 1.0
    return np.maximum(fitted.spread(horizon), least[:, None])


@dataclass(frozen=True)
class Calibration:
    """How wrong the forecasts of a fleet have been."""

    levels: Floats
    """(2, ahead): quantiles of the errors, over the spread and the series' own factor, between
    which COVERAGE of them lie."""
    size: Floats
    """(ahead,): median of the absolute errors, over the spread."""


def calibrate(errors: Floats) -> Calibration:
    """Return the calibration of a fleet; one of few series leans on what is usual.

    Args:
        errors: As in ``Backtest``, of all series. The factor of each comes from the other days in
            the past, as that of a forecast does.

    """
    size = USUAL_SIZE.copy()
    levels = USUAL.copy()
    known: Bools = np.isfinite(errors)
    series = known.any(axis=1).sum(axis=0)
    for h in np.flatnonzero(series):
        fleet = np.median(np.abs(errors[..., h][known[..., h]]))
        size[h] = _leaning(series[h], fleet, USUAL_SIZE[h])
    scaled = np.full_like(errors, np.nan)
    for n in range(errors.shape[1]):
        scaled[:, n] = errors[:, n] / own_factor(np.delete(errors, n, axis=1), size)[:, None]
    for h in np.flatnonzero(series):
        quantiles = np.quantile(scaled[..., h][known[..., h]], _LEVELS)
        levels[:, h] = _leaning(series[h], quantiles, USUAL[:, h])
    return Calibration(levels, size)


def own_factor(errors: Floats, size: Floats) -> Floats:
    """Return (series,): by how much each errs more than the fleet, shrunk to 1.

    Args:
        errors: As in ``Backtest``, of as many days in the past as are to count.
        size: Of the fleet's ``Calibration``.

    """
    known = np.isfinite(errors)
    # A series may err more at some horizons than at others; compare like with like.
    ratio = np.where(known, np.minimum(np.abs(errors) / np.maximum(size, 1e-9), _MOST), 0.0)
    # Errors of one day in the past go together: each day counts once.
    days = known.any(axis=2)
    by_day = ratio.sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    factor: Floats = (_OWN + (by_day * days).sum(axis=1)) / (_OWN + days.sum(axis=1))
    return factor


def _leaning(series: int, fleet: Any, usual: Any) -> Any:
    return (series * fleet + _USUAL_COUNTS * usual) / (series + _USUAL_COUNTS)


def bounds(
    fitted: Fit, done: Backtest, calibration: Calibration, horizon: int
) -> tuple[Floats, Floats, Floats]:
    """Return the low, the foretold and the high path of the peak, each (series, horizon)."""
    spread = spread_of(fitted, horizon) * own_factor(done.errors, calibration.size)[:, None]
    peak = fitted.peak(horizon)
    ahead = np.log(np.arange(1, horizon + 1))
    low, high = (
        np.maximum.accumulate(peak + spread * np.interp(ahead, np.log(AHEAD), level), axis=1)
        for level in calibration.levels
    )
    return np.minimum(low, peak), peak, np.maximum(high, peak)


def first_day(path: Floats, limits: Floats) -> Floats:
    """Return (series,): the first day ahead on which the path reaches the limit; NaN: never."""
    reached = path >= limits[:, None]
    return np.where(reached.any(axis=1), np.argmax(reached, axis=1) + 1.0, np.nan)


def _last(sizes: Floats) -> Floats:
    """Return the last value of each row that is not NaN."""
    days = sizes.shape[1]
    column = days - 1 - np.argmax(np.isfinite(sizes)[:, ::-1], axis=1)
    return np.take_along_axis(sizes, column[:, None], axis=1)[:, 0]
