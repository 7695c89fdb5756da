"""What happened to a series besides growing: spikes, steps, purges that recur.

Arrays are series × days of bytes, right-aligned: the last column is each series' last sample, NaN
is a day without one. Nothing here depends on which other series are in the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
_STEP = 8.0
"""How many deviations of the daily growth make a step; 8 is never reached by noise."""
_SPIKE = 6.0
_RECURS = 3
"""Steps up that happen as often as this are how the series grows."""
_SHORTEST_CYCLE, _LONGEST_CYCLE = 4.0, 120.0
_STOPPED = 1.75
"""Cycles without a purge after which it is taken to have stopped."""
_CYCLES = 6
"""How many of the last purges say how the series grows across purges."""


@dataclass(frozen=True)
class Purges:
    """Drops that recur. All arrays are (series,); where ``recurs`` is false the rest is 0."""

    recurs: Bools
    period_days: Floats
    elapsed_days: Floats
    """Days from the last one to the end of the series."""
    net_slope: Floats
    """Bytes a day from peak to peak and from trough to trough."""
    spread: Floats
    """Standard error of ``net_slope``."""


@dataclass(frozen=True)
class Cleaned:
    """Series without what happens once, and what that was."""

    sizes: Floats
    """(series, days): gaps bridged, spikes cut off, steps taken out of the past, so that the last
    value is the present one. NaN before the first sample."""
    start: Ints
    """(series,): the column of the first sample."""
    last_step: Ints
    """(series,): the column of the last step that happened once; -1: there was none."""
    purges: Purges


def clean(sizes: Floats) -> Cleaned:
    """Return the series as they would be had nothing happened but growth, season and noise.

    1. A spike of one or two days, which stands out from both sides, is cut off.
    2. A day's growth that stands out from the daily growth of its series by 8 deviations is a
       step. Steps up that recur are growth and stay. Steps down that recur are purges. Whatever
       else happened once is taken out of what was before it: the level changed, the trend did not.
    """
    start = np.argmax(np.isfinite(sizes), axis=1).astype(np.int64)
    filled = _bridged(sizes)
    typical, deviation = _daily_growth(sizes)
    filled = _without_spikes(filled, typical, deviation)
    observed = np.isfinite(sizes)
    growth, span = _growth_between_samples(filled, observed)
    excess = np.where(span > 0, growth - typical[:, None] * span, 0.0)
    room = _STEP * deviation[:, None] * np.sqrt(span) + 3 * np.abs(typical)[:, None] * span
    # The room for rounding keeps a straight line of floats from having steps.
    room += 1e-9 * np.nanmax(np.abs(filled), axis=1)[:, None]
    up, down = excess > room, excess < -room
    many_up = up.sum(axis=1) >= _RECURS
    purges = _purges(filled, down, start)
    once = (up & ~many_up[:, None]) | (down & ~(many_up & (down.sum(axis=1) >= _RECURS))[:, None])
    purges = Purges(
        purges.recurs & ~many_up,
        *(np.where(many_up, 0.0, values) for values in _numbers(purges)),
    )
    steps = np.where(once, excess, 0.0)
    after = steps[:, ::-1].cumsum(axis=1)[:, ::-1] - steps
    cleaned = _bridged(np.where(observed, filled + after, np.nan))
    told = once & ~(down & purges.recurs[:, None])
    last = np.where(told.any(axis=1), told.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1), -1)
    return Cleaned(cleaned, start, last.astype(np.int64), purges)


def _numbers(purges: Purges) -> tuple[Floats, Floats, Floats, Floats]:
    return purges.period_days, purges.elapsed_days, purges.net_slope, purges.spread


def _previous(observed: Bools) -> Ints:
    """Return for each day the column of the last sample up to it, -1 before the first."""
    columns = np.arange(observed.shape[1])
    return np.maximum.accumulate(np.where(observed, columns, -1), axis=1)


def _bridged(sizes: Floats) -> Floats:
    """Return the sizes with straight lines across gaps; NaN before the first sample."""
    observed = np.isfinite(sizes)
    if observed.all():
        return sizes.copy()
    days = sizes.shape[1]
    columns = np.arange(days)
    left = _previous(observed)
    right = days - 1 - _previous(observed[:, ::-1])[:, ::-1]
    inside = left >= 0
    left, right = np.maximum(left, 0), np.minimum(right, days - 1)
    before = np.take_along_axis(sizes, left, axis=1)
    behind = np.take_along_axis(sizes, right, axis=1)
    share = (columns - left) / np.maximum(right - left, 1)
    return np.where(inside, before + (behind - before) * share, np.nan)


def _growth_between_samples(filled: Floats, observed: Bools) -> tuple[Floats, Ints]:
    """Return each sample's growth since the one before and over how many days (0: no sample)."""
    columns = np.arange(filled.shape[1])
    earlier = np.full(observed.shape, -1, dtype=np.int64)
    earlier[:, 1:] = _previous(observed)[:, :-1]
    usable = observed & (earlier >= 0)
    before = np.take_along_axis(filled, np.maximum(earlier, 0), axis=1)
    return np.where(usable, filled - before, 0.0), np.where(usable, columns - earlier, 0)


def _daily_growth(sizes: Floats) -> tuple[Floats, Floats]:
    """Return the median of the daily growth, and its deviation (robust), each (series,)."""
    observed = np.isfinite(sizes)
    growth, span = _growth_between_samples(np.where(observed, sizes, 0.0), observed)
    daily = np.where(span > 0, growth / np.maximum(span, 1), np.nan)
    daily[:, 0] = np.where(np.isnan(daily).all(axis=1), 0.0, daily[:, 0])
    typical = np.nanmedian(daily, axis=1)
    deviation = _NORMAL * np.nanmedian(np.abs(daily - typical[:, None]), axis=1)
    return typical, deviation


def _without_spikes(filled: Floats, typical: Floats, deviation: Floats) -> Floats:
    days = filled.shape[1]
    if days < 7:
        return filled
    left = _median_of_three(filled[:, : days - 6], filled[:, 1 : days - 5], filled[:, 2 : days - 4])
    right = _median_of_three(filled[:, 4 : days - 2], filled[:, 5 : days - 1], filled[:, 6:])
    middle = filled[:, 3 : days - 3]
    room = (_SPIKE * deviation + 4 * np.abs(typical))[:, None]
    room = room + 1e-9 * np.nanmax(np.abs(filled), axis=1)[:, None]
    with np.errstate(invalid="ignore"):  # NaN before the first sample is no spike
        high = middle - np.maximum(left, right) > room
        low = np.minimum(left, right) - middle > room
    result = filled.copy()
    result[:, 3 : days - 3] = np.where(high | low, (left + right) / 2, middle)
    return result


def _median_of_three(a: Floats, b: Floats, c: Floats) -> Floats:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _purges(filled: Floats, down: Bools, start: Ints) -> Purges:
    """Return which series are purged again and again, how often, and how they grow meanwhile."""
    days = filled.shape[1]
    columns = np.arange(days)
    first_day = down.copy()
    first_day[:, 1:] &= ~down[:, :-1]  # a purge of several days is one
    first_day &= columns > start[:, None]
    from_end = first_day[:, ::-1].cumsum(axis=1)[:, ::-1]
    recent = first_day & (from_end <= _CYCLES)
    count = recent.sum(axis=1)
    first = np.argmax(recent, axis=1)
    last = days - 1 - np.argmax(recent[:, ::-1], axis=1)
    period = (last - first) / np.maximum(count - 1, 1)
    elapsed = (days - 1 - last).astype(np.float64)
    drop = np.where(recent, np.roll(filled, 1, axis=1) - filled, np.nan)
    alike = count >= _RECURS
    two = count == 2
    if two.any():
        small, large = np.nanmin(drop[two], axis=1), np.nanmax(drop[two], axis=1)
        alike[two] = small * 2 >= large
    recurs = (
        alike
        & (period >= _SHORTEST_CYCLE)
        & (period <= _LONGEST_CYCLE)
        & (elapsed <= _STOPPED * period)
    )
    slope, spread = _slope_across(filled, recent)
    return Purges(
        recurs, *(np.where(recurs, values, 0.0) for values in (period, elapsed, slope, spread))
    )


def _slope_across(filled: Floats, recent: Bools) -> tuple[Floats, Floats]:
    """Return the slope that the days before and the days of the purges share, and its error.

    Least squares with one slope and two levels: one of the peaks, one of the troughs.
    """
    days = filled.shape[1]
    columns = np.arange(days, dtype=np.float64)
    peak = np.zeros_like(recent)
    peak[:, :-1] = recent[:, 1:]
    count = np.maximum(recent.sum(axis=1), 1)[:, None]
    products = np.zeros(len(filled))
    squares = np.zeros(len(filled))
    residual = np.zeros(len(filled))
    apart = []
    for mask in (peak, recent):
        size = np.where(mask, filled, 0.0)
        time = np.where(mask, columns - (mask * columns).sum(axis=1, keepdims=True) / count, 0.0)
        size = np.where(mask, size - size.sum(axis=1, keepdims=True) / count, 0.0)
        products += (time * size).sum(axis=1)
        squares += (time * time).sum(axis=1)
        apart.append((time, size))
    slope = products / np.maximum(squares, 1.0)
    for time, size in apart:
        residual += ((size - slope[:, None] * time) ** 2).sum(axis=1)
    freedom = np.maximum(2 * count[:, 0] - 3, 1)
    variance = residual / freedom / np.maximum(squares, 1.0)
    # A slope that its error could explain is none: shrunk as by James and Stein (1961).
    keep = np.maximum(1 - variance / np.maximum(slope**2, 1e-300), 0.0)
    return slope * keep, np.sqrt(variance)
