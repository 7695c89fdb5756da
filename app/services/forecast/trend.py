"""How fast a series grows now: slopes over several windows, weighed by how well each foretold.

Arrays are (series, days) or (series,), right-aligned; slopes are bytes a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.services.forecast.change_points import Floats, Ints

WINDOWS = (14, 30, 60, 120, 240, 400)
"""Days over which a slope is fitted."""
CURVED = (60, 120, 240)
"""Windows over which the change of the slope is fitted, too."""
HORIZONS = (14, 30, 60, 120)
"""Days ahead at which the slopes are judged."""
WEEK = 7
_EVERY = 14
_ORIGINS = 13
_POWER = 4.0
_TRUST = 2.0
_HALF_LIFE = 60.0
_LEAST_POINTS = 7
_BEND_DAYS = 180.0
"""Days ahead up to which a change of the slope is taken to go on."""
_LEAST_GAIN = 0.3
_LEAST_PIECE = 14
_BREAK_EVERY = 3

NAMES = (
    "level",
    *(f"line {window}" for window in WINDOWS),
    *(f"curve {window}" for window in CURVED),
)
_PRIOR = np.array([0.3, 0.3, 0.7, 1.2, 1.5, 1.5, 1.5, 0.5, 0.5, 0.5])
_STRAIGHT = 1 + len(WINDOWS)


@dataclass(frozen=True)
class Trend:
    """The growth ahead of each series."""

    level: Floats
    """(series,): the size at the last day, without noise and season of the week."""
    slope: Floats
    """(series,): bytes a day at the last day."""
    bend: Floats
    """(series,): by how much the slope changes a day."""
    weights: Floats
    """(series, candidates): how much each of ``NAMES`` counts."""
    errors: Floats
    """(series, horizons): mean absolute error of the slope over each of ``HORIZONS``; NaN where
    the history is too short to tell."""
    regime: Ints
    """(series,): the column in which the slope last changed; that of the first sample if never."""

    def rise(self, days: Floats) -> Floats:
        """Return (series, days): growth from the level to each of the days ahead."""
        slope, bend = self.slope[:, None], self.bend[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):  # a straight line has no such time
            time = np.abs(slope / bend)
            fading = slope * time * -np.expm1(-days / time)
        bent = np.minimum(days, _BEND_DAYS)
        speeding = slope * days + bend * (bent * bent / 2 + (days - bent) * bent)
        # A trend that slows down comes to rest; it does not turn round.
        return np.where(bend * slope < 0, fading, speeding)


class Sums:
    """Running sums over the days, from which any window of any series is fitted in one step."""

    def __init__(self, sizes: Floats, start: Ints) -> None:
        days = sizes.shape[1]
        columns = np.arange(days)
        inside = columns >= start[:, None]
        self.days = days
        self.start = start
        self.reference = sizes[:, -1]
        size = np.where(inside, sizes - self.reference[:, None], 0.0)
        time = columns - days / 2
        columns_of = (
            inside.astype(np.float64),
            inside * time,
            inside * time * time,
            size,
            size * time,
            size * size,
        )
        self.sums = np.zeros((len(sizes), days + 1, len(columns_of)))
        for n, values in enumerate(columns_of):
            np.cumsum(values, axis=1, out=self.sums[:, 1:, n])
        self.rows = np.arange(len(sizes))

    def line(self, first: Ints, behind: int | Ints) -> tuple[Floats, Floats, Floats]:
        """Return slope, sum of squared residuals and number of days of [first, behind)."""
        return _line(self._at(behind) - self._at(first))

    def week(self, behind: int) -> Floats:
        """Return the mean over the 7 days before ``behind``, from the reference."""
        first = np.maximum(self.start, behind - WEEK)
        count = np.maximum(behind - first, 1)
        mean: Floats = (self._at(behind) - self._at(np.minimum(first, behind)))[:, 3] / count
        return mean

    def _at(self, column: int | Ints) -> Floats:
        """Return (series, sums) of all days before the column."""
        return self.sums[:, column] if isinstance(column, int) else self.sums[self.rows, column]


def fit_trend(sizes: Floats, start: Ints) -> Trend:
    """Return the trend of cleaned series.

    Candidates are: no growth; a line over each of WINDOWS; a line whose slope changes over each of
    CURVED. Each is fitted at days in the past, every 14 days, as if what came after were not known,
    and judged by how far its slope was from what the series did over the next 14 to 120 days. The
    forecast is their mean, weighed by the inverse of that error to the 4th power; the shorter the
    history, the more the weights stay at what suits most series.
    """
    sums = Sums(sizes, start)
    days = sums.days
    regime = _regime(sums)
    slopes, bends = _candidates(sums, days, regime)
    missed = np.zeros((len(sizes), len(NAMES)))
    weight = np.zeros((len(sizes), 1))
    past = []
    for back in range(HORIZONS[0], min(days, HORIZONS[0] + _EVERY * _ORIGINS), _EVERY):
        origin = days - back
        known = origin - np.maximum(start, 0) >= 2 * _LEAST_POINTS
        if not known.any():
            break
        slope, bend = _candidates(sums, origin, start)
        recency = 0.5 ** (back / _HALF_LIFE)
        for n, horizon in enumerate(HORIZONS):
            if horizon > back:
                continue
            real = (sums.week(origin + horizon) - sums.week(origin)) / horizon
            foretold = slope + bend * (WEEK // 2 + min(horizon, _BEND_DAYS) / 2)
            error = np.where(known[:, None], np.abs(foretold - real[:, None]), 0.0)
            missed += recency * error
            weight += recency * known[:, None]
            past.append((n, recency, known, foretold, real))
    missed /= np.maximum(weight, 1e-12)
    tiny = 1e-12 + 1e-9 * np.max(np.abs(slopes), axis=1, keepdims=True)
    best = missed.min(axis=1, keepdims=True) + tiny
    trust = _POWER * weight / (weight + _TRUST)
    weights = _PRIOR * ((missed + tiny) / best) ** -trust
    weights[:, 0] *= _doubt(sums, regime)
    weights /= weights.sum(axis=1, keepdims=True)
    slope = (weights * slopes).sum(axis=1)
    bend = (weights * bends).sum(axis=1)
    totals = np.zeros((2, len(sizes), len(HORIZONS)))
    for n, recency, known, foretold, real in past:
        error = np.abs((weights * foretold).sum(axis=1) - real)
        totals[0, :, n] += recency * known * error
        totals[1, :, n] += recency * known
    with np.errstate(invalid="ignore"):
        judged = np.where(totals[1] > 0, totals[0] / totals[1], np.nan)
    level = sums.reference + sums.week(days) + slope * (np.minimum(days - start, WEEK) - 1) / 2
    return Trend(level, slope, bend, weights, judged, regime)


def _candidates(sums: Sums, behind: int, earliest: Ints) -> tuple[Floats, Floats]:
    """Return slope and bend of each candidate, (series, candidates), fitted up to ``behind``."""
    size = (len(sums.start), len(NAMES))
    slopes, bends = np.zeros(size), np.zeros(size)
    floor = np.minimum(np.maximum(sums.start, earliest), max(behind - _LEAST_POINTS, 0))
    for n, window in enumerate(WINDOWS, start=1):
        slopes[:, n] = sums.line(np.maximum(floor, behind - window), behind)[0]
    for n, window in enumerate(CURVED, start=_STRAIGHT):
        first = np.maximum(floor, behind - window)
        middle = (first + behind) // 2
        early, late = sums.line(first, middle)[0], sums.line(middle, behind)[0]
        length = np.maximum(behind - first, 2) / 2
        enough = length >= 2 * _LEAST_POINTS
        bend = np.where(enough, (late - early) / length, 0.0)
        # The slope of a line over a window of a parabola is that of the middle of the window.
        slopes[:, n] = np.where(enough, late + bend * length / 2, late)
        bends[:, n] = bend
    return slopes, bends


def _doubt(sums: Sums, since: Ints) -> Floats:
    """Return (series,): from 1, nothing says that the series grows at all, to 0, it surely does.

    1 / (1 + t²/9), where t is the slope of a line since the day over its standard error.
    """
    slope, residual, count = sums.line(since, sums.days)
    variance = residual / np.maximum(count - 2, 1.0) / np.maximum(count**3 / 12, 1.0)
    return variance / np.maximum(variance + slope**2 / 9, 1e-300)


def _regime(sums: Sums) -> Ints:
    """Return the column since which one straight line explains the series.

    Two lines, broken at any of the days, are compared with one: the break has to halve what is left
    unexplained.
    """
    every = sums.sums[:, _LEAST_PIECE : sums.days - _LEAST_PIECE + 1 : _BREAK_EVERY]
    if every.shape[1] == 0:
        return sums.start
    total = sums.sums[:, -1]
    whole = _line(total)[1]
    # Before the first sample all sums are 0: what is before a column is all of the series there.
    left, count = _line(every)[1:]
    broken = left + _line(total[:, None] - every)[1]
    broken = np.where(count >= _LEAST_PIECE, broken, np.inf)
    best = np.argmin(broken, axis=1)
    halved = broken[sums.rows, best] < _LEAST_GAIN * whole
    return np.where(halved, _LEAST_PIECE + _BREAK_EVERY * best, sums.start)


def _line(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope, sum of squared residuals and number of days of least-squares lines.

    Args:
        sums: (…, 6): of 1, t, t², z, t·z and z².

    """
    count, t, tt, z, tz, zz = np.moveaxis(sums, -1, 0)
    points = np.maximum(count, 1.0)
    squares = tt - t * t / points
    products = tz - t * z / points
    slope = np.where(count > 1, products / np.maximum(squares, 0.5), 0.0)
    return slope, np.maximum(zz - z * z / points - slope * products, 0.0), count
