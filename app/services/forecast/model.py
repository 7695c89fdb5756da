"""The forecast of many series at once: what is the largest size that each reaches by which day.

A volume is full when the largest size so far reaches its limit, so that is what is forecast: the
highest point from now to each day ahead (the "peak"), not the size on that day. Then the day on
which a quantile of the peak crosses the limit is the same quantile of the day on which the limit
is reached.

Arrays are series × days of bytes, right-aligned: the last column is each series' last sample, NaN
is a day without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.services.forecast.change_points import Bools, Cleaned, Floats, clean
from app.services.forecast.season import Season, find_season
from app.services.forecast.trend import HORIZONS, WEEK, Trend, fit_trend

_PATTERN_WEEKS = 8
_NOISE_DAYS = 60
# Expected maximum of n independent standard normal values.
_MAXIMUM_OF = np.array([1.0, 2.0, 4.0, 7.0, 15.0, 30.0, 60.0, 120.0, 1000.0])
_EXPECTED = np.array([0.0, 0.56, 1.03, 1.35, 1.74, 2.04, 2.32, 2.57, 3.24])


@dataclass(frozen=True)
class Fit:
    """What is known of each series at its last day."""

    cleaned: Cleaned
    season: Season
    trend: Trend
    pattern: Floats
    """(series, 7): what each of the next seven days differs by from the trend."""
    noise: Floats
    """(series,): standard deviation (robust) around trend and pattern."""

    def net_slope(self, days: float = 30.0) -> Floats:
        """Return (series,): bytes a day over the next days, purges included."""
        purges = self.cleaned.purges
        rise = self.trend.rise(np.array([days]))[:, 0] / days
        return np.where(purges.recurs, purges.net_slope, rise)

    def peak(self, horizon: int) -> Floats:
        """Return (series, horizon): the largest size expected from now to each of the days."""
        ahead = np.arange(1, horizon + 1, dtype=np.float64)
        path = self.trend.rise(ahead) + self.trend.level[:, None]
        path += np.take(self.pattern, (np.arange(horizon) % WEEK), axis=1)
        path += self.season.ahead(horizon)
        path -= self._purged(ahead)
        peak = np.maximum.accumulate(path, axis=1)
        # Noise adds its maximum over those days that the trend does not leave far below.
        slope, noise = np.abs(self.net_slope())[:, None], self.noise[:, None]
        alike = np.minimum(ahead, 1 + 2 * noise / np.maximum(slope, 1e-3 * noise + 1e-12))
        peak += noise * np.interp(np.log(alike), np.log(_MAXIMUM_OF), _EXPECTED)
        return peak

    def spread(self, horizon: int) -> Floats:
        """Return (series, horizon): by how much the peak may be off, up to one common factor.

        Noise, and an error of the slope that grows with the days: as large as it was when the
        trend was judged on its past.
        """
        ahead = np.arange(1, horizon + 1, dtype=np.float64)
        slopes = self._slope_errors()
        at = np.interp(ahead, HORIZONS, np.arange(len(HORIZONS)))
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, len(HORIZONS) - 1)
        share = at - low
        slope = slopes[:, low] * (1 - share) + slopes[:, high] * share
        purges = self.cleaned.purges
        slope = np.where(purges.recurs[:, None], purges.spread[:, None] + 0.5 * slope, slope)
        slope = np.maximum(slope, 0.01 * np.abs(self.net_slope())[:, None])
        # Beyond what it was judged on the slope goes on to wander.
        far = np.sqrt(np.maximum(ahead / HORIZONS[-1], 1.0))
        spread: Floats = self.noise[:, None] + slope * ahead * far
        return spread

    def _slope_errors(self) -> Floats:
        errors = self.trend.errors.copy()
        for n in range(1, errors.shape[1]):
            errors[:, n] = np.where(np.isnan(errors[:, n]), errors[:, n - 1], errors[:, n])
        # Too short to have judged anything: off by as much as it grows.
        return np.where(np.isnan(errors), np.abs(self.trend.slope)[:, None], errors)

    def _purged(self, ahead: Floats) -> Floats:
        purges = self.cleaned.purges
        if not purges.recurs.any():
            return np.zeros((1, 1))
        period = np.maximum(purges.period_days, 1.0)[:, None]
        first = np.maximum(period - purges.elapsed_days[:, None], 1.0)
        times = np.where(ahead >= first, np.floor((ahead - first) / period) + 1, 0.0)
        drop = (self.trend.slope - purges.net_slope)[:, None] * period
        return np.where(purges.recurs[:, None], np.maximum(drop, 0.0) * times, 0.0)


def fit(sizes: Floats) -> Fit:
    """Fit every series; each has a value in its last column.

    1. ``change_points.clean``: spikes cut off, steps taken out, purges that recur found.
    2. ``season.find_season``: a pattern that repeats, longer than a week, is taken out.
    3. ``trend.fit_trend``: the slope now, from windows weighed by how well they foretold.
    4. What is left: the pattern of the week, and noise.
    """
    cleaned = clean(sizes)
    season = find_season(cleaned.sizes, cleaned.start)
    plain = cleaned.sizes - season.past(sizes.shape[1])
    trend = fit_trend(plain, cleaned.start)
    pattern, noise = _week(plain)
    return Fit(cleaned, season, trend, pattern, noise)


def _week(sizes: Floats) -> tuple[Floats, Floats]:
    """Return the pattern of the next 7 days and the noise around it.

    Both come from what differs from the mean of the 7 days around each day, over the last 8 weeks.
    The pattern is shrunk by how much of it noise alone would make.
    """
    series, days = sizes.shape
    weeks = min((days - 2 * (WEEK // 2)) // WEEK, _PATTERN_WEEKS)
    if weeks < 1:
        return np.zeros((series, WEEK)), np.zeros(series)
    half = WEEK // 2
    recent = sizes[:, days - weeks * WEEK - 2 * half :]
    sums = np.cumsum(np.pad(np.nan_to_num(recent - sizes[:, -1:]), ((0, 0), (1, 0))), axis=1)
    mean = (sums[:, WEEK:] - sums[:, :-WEEK]) / WEEK + sizes[:, -1:]
    left = np.where(
        np.isfinite(recent[:, : weeks * WEEK]), recent[:, half : -half or None] - mean, np.nan
    )
    by_day = left.reshape(series, weeks, WEEK)
    known: Bools = np.isfinite(by_day)
    count = known.sum(axis=1)
    pattern = np.where(known, by_day, 0.0).sum(axis=1) / np.maximum(count, 1)
    pattern -= pattern.mean(axis=1, keepdims=True)
    rest = np.where(known, by_day - pattern[:, None, :], 0.0).reshape(series, -1)
    # A mean over 7 days takes a seventh of the variance, the pattern one of so many weeks.
    freedom = np.maximum(count.sum(axis=1) * (6 / 7) * (1 - 1 / weeks), 1.0)
    noise = np.sqrt((rest**2).sum(axis=1) / freedom)
    signal = (pattern**2).mean(axis=1)
    by_chance = noise**2 * (6 / 7) / np.maximum(weeks, 1)
    keep = np.where(signal > 0, np.maximum(1 - by_chance / np.maximum(signal, 1e-300), 0.0), 0.0)
    enough = count.min(axis=1) >= 2
    keep = np.where(enough, keep, 0.0)
    unexplained = np.sqrt(noise**2 + (1 - keep**2) * signal)
    # The first of the days ahead is the one after the last column, which is `half` further on.
    return np.roll(pattern * keep[:, None], -half % WEEK, axis=1), unexplained
