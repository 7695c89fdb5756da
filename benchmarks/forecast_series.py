"""Series with a known future, to forecast: generated ones, and public ones of statsmodels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HISTORY = 400
AHEAD = 730
"""Days of the future that are generated; what has not crossed its limit by then never fills."""


@dataclass(frozen=True)
class Case:
    """One series up to a day, a limit, and what came after."""

    kind: str
    past: Floats
    future: Floats
    limit: float

    @property
    def days_to_limit(self) -> float:
        """Days until the limit was reached; inf if it was not."""
        reached = np.flatnonzero(self.future >= self.limit)
        return float(reached[0] + 1) if len(reached) else np.inf


def generated(seed: int, per_kind: int) -> list[Case]:
    """Return cases of every kind; the same seed gives the same ones."""
    cases = []
    for n, (kind, make) in enumerate(KINDS.items()):
        random = np.random.default_rng([seed, n])
        wanted = per_kind
        while wanted:
            case = _case(kind, make, random)
            if case is not None:
                cases.append(case)
                wanted -= 1
    return cases


def _case(
    kind: str, make: Callable[[np.random.Generator, Floats], Floats], random: np.random.Generator
) -> Case | None:
    known = int(random.integers(60, HISTORY + 1))
    time = np.arange(-known + 1, AHEAD + 1, dtype=np.float64)
    base = 10 ** random.uniform(8, 12)
    path = np.maximum(base * make(random, time), 0.0)
    past, future = path[:known].copy(), path[known:]
    if kind in {"gaps", "mixed"}:
        past = _with_gaps(past, random)
    now = past[-1]
    limit = now * (1 + 10 ** random.uniform(-1.5, 0.1))
    case = Case(kind, past, future, float(limit))
    # Full within days is no forecast, and a point in the middle of a purge has no room.
    return case if now > 0 and case.days_to_limit >= 5 else None


def _with_gaps(past: Floats, random: np.random.Generator) -> Floats:
    past = past.copy()
    past[random.random(len(past)) < random.uniform(0.02, 0.3)] = np.nan
    for _ in range(int(random.integers(0, 3))):
        first = int(random.integers(1, len(past) - 1))
        past[first : first + int(random.integers(2, 15))] = np.nan
    past[0] = past[0] if np.isfinite(past[0]) else np.nanmin(past)
    if not np.isfinite(past[-1]):
        past[-1] = past[np.flatnonzero(np.isfinite(past))[-1]]
    return past


def _noise(random: np.random.Generator, time: Floats, most: float = 0.03) -> Floats:
    return random.normal(0, 10 ** random.uniform(-4, np.log10(most)), len(time))


def _slope(random: np.random.Generator) -> float:
    """Return growth a day as a share of the base: 0.02 % to 1 %."""
    return float(10 ** random.uniform(-3.7, -2))


def _linear(random: np.random.Generator, time: Floats) -> Floats:
    return np.asarray(1 + _slope(random) * (time - time[0]) + _noise(random, time))


def _arrivals(random: np.random.Generator, time: Floats) -> Floats:
    shape = 10 ** random.uniform(-0.5, 1)
    return 1 + np.cumsum(random.gamma(shape, _slope(random) / shape, len(time)))


def _weekly(random: np.random.Generator, time: Floats) -> Floats:
    slope = _slope(random)
    line = 1 + slope * (time - time[0])
    if random.random() < 0.5:
        weekday = random.dirichlet(np.full(7, 0.7)) * 7 * slope
        line = 1 + np.cumsum(weekday[time.astype(int) % 7])
    else:
        line += random.uniform(0.5, 8) * slope * np.sin(2 * np.pi * time / 7 + random.uniform(0, 6))
    return np.asarray(line + _noise(random, time, 0.003))


def _accelerating(random: np.random.Generator, time: Floats) -> Floats:
    age = time - time[0]
    if random.random() < 0.5:
        return np.asarray(np.exp(10 ** random.uniform(-3.2, -2.3) * age) + _noise(random, time))
    return np.asarray(
        1 + _slope(random) * (age + age**2 / random.uniform(100, 1500)) + _noise(random, time)
    )


def _decelerating(random: np.random.Generator, time: Floats) -> Floats:
    age = time - time[0]
    if random.random() < 0.5:
        scale = random.uniform(60, 600)
        return np.asarray(
            1 + random.uniform(0.2, 3) * (1 - np.exp(-age / scale)) + _noise(random, time)
        )
    power = random.uniform(0.4, 0.8)
    return np.asarray(1 + _slope(random) * 10 * age**power + _noise(random, time))


def _purged(random: np.random.Generator, time: Floats) -> Floats:
    period = random.uniform(10, 60)
    jitter = random.uniform(0, 0.12) * period
    slope = _slope(random) * 3
    kept = random.uniform(0.0, 0.5) if random.random() < 0.8 else 0.0
    level, sizes = 1.0, []
    due = time[0] + random.uniform(0, period)
    since = 0.0
    for day in time:
        level += slope
        since += slope
        if day >= due:
            level -= since * (1 - kept)
            since = 0.0
            due += period + random.normal(0, jitter)
        sizes.append(level)
    return np.array(sizes) + _noise(random, time, slope)


def _single_purge(random: np.random.Generator, time: Floats) -> Floats:
    line = 1 + _slope(random) * (time - time[0]) + _noise(random, time)
    day = -int(random.integers(0, min(-time[0] - 10, 90)))
    return np.asarray(
        np.where(time >= day, line - random.uniform(0.1, 0.7) * line[time == day], line)
    )


def _restored(random: np.random.Generator, time: Floats) -> Floats:
    line = 1 + _slope(random) * (time - time[0]) + _noise(random, time)
    day = -int(random.integers(0, min(-time[0] - 10, 90)))
    return np.asarray(
        np.where(time >= day, line + random.uniform(0.1, 1.0) * line[time == day], line)
    )


def _outliers(random: np.random.Generator, time: Floats) -> Floats:
    line = 1 + _slope(random) * (time - time[0]) + _noise(random, time, 0.005)
    hit = (random.random(len(time)) < random.uniform(0.01, 0.05)) & (time <= 0)
    return np.asarray(
        line * (1 + hit * random.choice([-1, 1], len(time)) * random.uniform(0.05, 0.5))
    )


def _flat(random: np.random.Generator, time: Floats) -> Floats:
    return 1 + _noise(random, time)


def _shrinking(random: np.random.Generator, time: Floats) -> Floats:
    return np.asarray(2 * np.exp(-_slope(random) / 3 * (time - time[0])) + _noise(random, time))


def _changed(random: np.random.Generator, time: Floats) -> Floats:
    day = -random.uniform(10, min(-time[0] - 15, 200))
    before, after = _slope(random), _slope(random)
    line = 1 + before * (time - time[0])
    return np.asarray(
        line + np.where(time > day, (after - before) * (time - day), 0) + _noise(random, time)
    )


def _wandering(random: np.random.Generator, time: Floats) -> Floats:
    steps = random.normal(0, random.uniform(0.02, 0.15), len(time))
    return 1 + np.cumsum(
        _slope(random) * np.exp(np.cumsum(steps) - np.cumsum(steps)[0]).clip(0, 20)
    )


def _mixed(random: np.random.Generator, time: Floats) -> Floats:
    kinds = (_linear, _weekly, _arrivals, _changed, _accelerating)
    events = (_single_purge, _restored, _purged, _outliers)
    path = sum(kinds[n](random, time) / 2 for n in random.choice(len(kinds), 2))
    event = events[random.integers(len(events))]
    return np.asarray(path + random.uniform(0.3, 1) * event(random, time))


KINDS: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "linear": _linear,
    "arrivals at random": _arrivals,
    "weekly": _weekly,
    "accelerating": _accelerating,
    "decelerating": _decelerating,
    "purged again and again": _purged,
    "purged once": _single_purge,
    "restored once": _restored,
    "outliers": _outliers,
    "flat": _flat,
    "shrinking": _shrinking,
    "slope changed": _changed,
    "slope wanders": _wandering,
    "gaps": _linear,
    "mixed": _mixed,
}


def right_aligned(cases: list[Case]) -> Floats:
    """Return (cases, HISTORY) of their pasts, NaN before the first day."""
    sizes = np.full((len(cases), HISTORY), np.nan)
    for n, case in enumerate(cases):
        sizes[n, HISTORY - len(case.past) :] = case.past
    return sizes
