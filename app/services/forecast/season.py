"""What a series repeats every so many days: a month's end, a batch every ten days.

Arrays are (series, days), right-aligned; the week has its own place, in ``model``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.services.forecast.change_points import Floats, Ints

_SHORTEST, _LONGEST = 7, 133
_CYCLES = 3
"""As many whole cycles have to be there."""
_LEAST_CORRELATION = 0.3
_LEAST_CONTRAST = 0.5
"""How much more the series is like itself a cycle ago than like itself half a cycle ago."""
_LEAST_GAIN = 0.5
"""Share of the variance of the last cycle that those before it have to explain."""


@dataclass(frozen=True)
class Season:
    """A pattern that repeats."""

    period: Ints
    """(series,): days; 0: there is none."""
    pattern: Floats
    """(series, longest period): by how much each day of the cycle differs; the last of the first
    ``period`` values belongs to the last day of the series."""

    def past(self, days: int) -> Floats:
        """Return (series, days): what the pattern was on the days up to the last one."""
        return self._at(np.arange(-days, 0))

    def ahead(self, horizon: int) -> Floats:
        """Return (series, horizon): what it will be on the days ahead."""
        return self._at(np.arange(horizon))

    def _at(self, columns: Ints) -> Floats:
        if not self.period.any():
            return np.zeros((1, 1))
        phase = columns % np.maximum(self.period, 1)[:, None]
        return np.take_along_axis(self.pattern, phase, axis=1)


def find_season(sizes: Floats, start: Ints) -> Season:
    """Return the pattern of each cleaned series, if it has one.

    1. A period: the lag at which what differs from a parabola is most like itself, and more so than
       at half of it.
    2. The pattern: the mean over the cycles of what differs from the mean of one cycle around.
    3. It counts only if the cycles before would have foretold the last two.
    """
    series, days = sizes.shape
    longest = min(_LONGEST, days // _CYCLES)
    period = np.zeros(series, dtype=np.int64)
    if longest < _SHORTEST:
        return Season(period, np.zeros((series, 1)))
    candidate = _likely_period(_without_parabola(sizes, start), days - start, longest)
    pattern = np.zeros((series, longest))
    for days_of_cycle in np.unique(candidate[candidate > 0]):
        rows = np.flatnonzero(candidate == days_of_cycle)
        shape, good = _pattern(sizes[rows], int(days_of_cycle))
        pattern[rows[good], :days_of_cycle] = shape[good]
        period[rows[good]] = days_of_cycle
    return Season(period, pattern)


def _without_parabola(sizes: Floats, start: Ints) -> Floats:
    """Return what is left of each series after a least-squares parabola; 0 before its start."""
    days = sizes.shape[1]
    inside = np.arange(days) >= start[:, None]
    time = np.linspace(-1.0, 1.0, days)
    powers = np.stack([time**n for n in range(3)])
    size = np.where(inside, sizes - sizes[:, -1:], 0.0)
    moments = inside @ np.stack([time**n for n in range(5)], axis=1)
    left: Floats = np.stack([moments[:, n : n + 3] for n in range(3)], axis=1)
    left[:, range(3), range(3)] *= 1 + 1e-9  # one with too few days is not singular
    left[:, range(3), range(3)] += 1e-9
    solved = np.linalg.solve(left, (size @ powers.T)[..., None])[..., 0]
    return np.where(inside, size - solved @ powers, 0.0)


def _likely_period(rest: Floats, count: Ints, longest: int) -> Ints:
    """Return (series,): the lag of the highest autocorrelation, 0 where none stands out."""
    days = rest.shape[1]
    room = 1 << (days + longest - 1).bit_length()
    transformed = np.fft.rfft(rest, room)
    products = np.fft.irfft(np.abs(transformed) ** 2, room)[:, : longest + 1]
    lags = np.arange(longest + 1)
    products *= count[:, None] / np.maximum(count[:, None] - lags, 1)
    like = products / np.maximum(products[:, :1], 1e-300)
    half = (like[:, lags // 2] + like[:, (lags + 1) // 2]) / 2
    likely = (like >= _LEAST_CORRELATION) & (like - half >= _LEAST_CONTRAST)
    likely &= (lags >= _SHORTEST) & (lags * _CYCLES <= count[:, None])
    found = np.where(likely, like, -np.inf)
    # Twice a period is one, too: take the shortest that is nearly as good.
    good = likely & (found >= found.max(axis=1, keepdims=True) - 0.1)
    first = np.argmax(good, axis=1)
    # The highest within the hill on which the first good one stands.
    hill = np.where((lags >= first[:, None]) & (lags <= first[:, None] * 1.25), found, -np.inf)
    return np.where(good.any(axis=1), np.argmax(hill, axis=1), 0)


def _pattern(
    sizes: Floats, period: int
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return (series, period) and whether it may be relied on."""
    rest = _around_mean(sizes, period)
    series, days = rest.shape
    cycles = min(days // period, 8)
    by_cycle = rest[:, days - cycles * period :].reshape(series, cycles, period)
    # The last half cycle has no mean around it yet: judge by the two cycles before that.
    known = rest[:, : days - period // 2]
    gains = []
    for back in range(2):
        end = known.shape[1] - back * period
        last = known[:, end - period : end]
        before = known[:, max(end - 4 * period, (end - period) % period) : end - period]
        before = before[:, before.shape[1] % period :].reshape(series, -1, period)
        foretold = _mean(before)
        missed = np.nansum((last - foretold) ** 2, axis=1)
        gains.append(1 - missed / np.maximum(np.nansum(last**2, axis=1), 1e-300))
    return _mean(by_cycle), np.minimum(*gains) >= _LEAST_GAIN


def _mean(by_cycle: Floats) -> Floats:
    known = np.isfinite(by_cycle)
    mean: Floats = np.where(known, by_cycle, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def _around_mean(sizes: Floats, period: int) -> Floats:
    """Return what differs from the mean of one period around each day; NaN where that is cut."""
    reference = sizes[:, -1:]
    missing = np.isnan(sizes)
    sums = np.cumsum(np.pad(np.where(missing, 0.0, sizes - reference), ((0, 0), (1, 0))), axis=1)
    gone = np.cumsum(np.pad(missing, ((0, 0), (1, 0))), axis=1)
    mean = (sums[:, period:] - sums[:, :-period]) / period + reference
    mean[(gone[:, period:] - gone[:, :-period]) > 0] = np.nan
    if period % 2 == 0:
        mean = (mean[:, 1:] + mean[:, :-1]) / 2
    half = period // 2
    result = np.full_like(sizes, np.nan)
    result[:, half : half + mean.shape[1]] = sizes[:, half : half + mean.shape[1]] - mean
    return result
