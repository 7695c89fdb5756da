"""Public series that statsmodels ships, cut at many days into a past and a future.

A sample (a week, a month, a quarter or a year there) stands for a day here. "summed" is the running
sum: what a table holds whose rows arrive as the real process made them.
"""

from __future__ import annotations

import numpy as np
from statsmodels import datasets

from benchmarks.forecast_series import AHEAD, HISTORY, Case, Floats

_MACRO = ("realgdp", "realcons", "realinv", "realgovt", "realdpi", "cpi", "m1", "pop")
_SHORTEST = 60
_CUTS = 80
_LIMITS_AHEAD = (10, 20, 40, 80, 160)
_PURGED_EVERY = 60


def public_series() -> dict[str, Floats]:
    """Return every series by its name; NaN is a missing sample."""
    macro = datasets.macrodata.load_pandas().data
    spots = datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(np.float64)
    nile = datasets.nile.load_pandas().data["volume"].to_numpy(np.float64)
    sea = datasets.elnino.load_pandas().data.iloc[:, 1:].to_numpy(np.float64).ravel()
    warm = sea - sea.min() + 0.5
    return {
        "co2, weekly (trend, season)": datasets.co2.load_pandas().data["co2"].to_numpy(np.float64),
        **{f"macrodata {name}, quarterly": macro[name].to_numpy(np.float64) for name in _MACRO},
        "elnino, monthly (season)": sea,
        "elnino summed": warm.cumsum(),
        "elnino summed, purged every 60": _purged(warm),
        "nile, yearly (step)": nile,
        "nile summed": nile.cumsum(),
        "sunspots, yearly (cycles)": spots,
        "sunspots summed": spots.cumsum(),
    }


def public_cases() -> list[Case]:
    """Return the cases of all series: limits that are reached, 5 samples ahead or later.

    The last name is no series of its own: elnino summed, with a restore 25 samples before each cut.
    """
    series = public_series()
    cases = [case for name, values in series.items() for case in _cases(name, values)]
    for case in _cases("elnino summed, restored 25 ago", series["elnino summed"]):
        restored = float(np.nanmax(case.past)) / 2
        past = case.past.copy()
        past[-25:] += restored
        cases.append(Case(case.kind, past, case.future + restored, case.limit + restored))
    return cases


def _cases(name: str, values: Floats) -> list[Case]:
    values = values * 1e6
    cases = []
    for cut in range(_SHORTEST, len(values) - 20, max(5, len(values) // _CUTS)):
        past, future = values[max(0, cut - HISTORY) : cut], values[cut : cut + AHEAD]
        if not np.isfinite(past[-1]):
            continue
        peak = np.fmax.accumulate(future)
        cases += [
            Case(name, past, future, float(peak[ahead - 1]))
            for ahead in _LIMITS_AHEAD
            if ahead <= len(future) and peak[ahead - 1] > past[-1]
        ]
    return [case for case in cases if case.days_to_limit >= 5]


def _purged(arrivals: Floats) -> Floats:
    size, since, sizes = 0.0, 0.0, []
    for n, more in enumerate(arrivals):
        size += more
        since += more
        if n % _PURGED_EVERY == 40:
            size -= 0.8 * since
            since = 0.0
        sizes.append(size)
    return np.array(sizes)
