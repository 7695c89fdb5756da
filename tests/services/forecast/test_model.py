from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.forecast.backtest import first_day
from app.services.forecast.change_points import Floats
from app.services.forecast.forecasting import calibrated, foretell, learn
from app.services.forecast.model import Fit, fit
from benchmarks.forecast_series import generated, right_aligned

GIB = 2.0**30
SEEDS = st.integers(0, 10_000)


def line(days: int, slope: float, start: float = 100 * GIB) -> Floats:
    return start + slope * np.arange(days, dtype=np.float64)


def noisy(seed: int, days: int = 200, slope: float = 0.1 * GIB) -> Floats:
    return line(days, slope) + np.random.default_rng(seed).normal(0, 0.3 * GIB, days)


def fit_one(sizes: Floats) -> Fit:
    return fit(sizes[None, :])


def slope_of(sizes: Floats) -> float:
    return float(fit_one(sizes).net_slope()[0])


def days_until(sizes: Floats, limit: float) -> float:
    return float(first_day(fit_one(sizes).peak(730), np.array([limit]))[0])


@given(st.integers(14, 400), st.floats(1e6, 1e10), st.integers(1, 600))
@settings(max_examples=60, deadline=None)
def test_an_exact_line_has_an_exact_answer(days: int, slope: float, ahead: int) -> None:
    sizes = np.round(line(days, slope))
    assert slope_of(sizes) == pytest.approx(slope, rel=1e-4, abs=1)
    limit = sizes[-1] + slope * (ahead - 0.5)
    assert days_until(sizes, limit) == ahead


@given(SEEDS, st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=25, deadline=None)
def test_bytes_in_another_unit_give_the_same_days(seed: int, factor: float) -> None:
    sizes = noisy(seed)
    assert slope_of(sizes * factor) == pytest.approx(slope_of(sizes) * factor, rel=1e-6)
    limit = sizes[-1] + 10 * GIB
    assert days_until(sizes * factor, limit * factor) == days_until(sizes, limit)


@given(SEEDS, st.floats(0, 1000))
@settings(max_examples=25, deadline=None)
def test_what_lies_there_unchanged_does_not_change_the_growth(seed: int, more: float) -> None:
    sizes = noisy(seed)
    assert slope_of(sizes + more * GIB) == pytest.approx(slope_of(sizes), rel=1e-4, abs=100)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_missing_days_change_little(seed: int) -> None:
    sizes = noisy(seed)
    gaps = sizes.copy()
    gaps[np.random.default_rng(seed + 1).random(len(sizes)) < 0.25] = np.nan
    gaps[0], gaps[-1] = sizes[0], sizes[-1]
    assert slope_of(gaps) == pytest.approx(0.1 * GIB, rel=0.3)
    assert slope_of(gaps) == pytest.approx(slope_of(sizes), rel=0.3)


@given(SEEDS, st.integers(1, 100), st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_a_single_purge_or_truncate_is_no_shrinking(seed: int, ago: int, share: float) -> None:
    sizes = noisy(seed)
    sizes[-ago:] -= share * sizes[-ago]
    assert slope_of(sizes) == pytest.approx(0.1 * GIB, rel=0.3)


@given(SEEDS, st.integers(1, 100), st.floats(0.1, 3))
@settings(max_examples=40, deadline=None)
def test_a_restore_is_no_growth(seed: int, ago: int, share: float) -> None:
    sizes = noisy(seed)
    sizes[-ago:] += share * sizes[-ago]
    assert slope_of(sizes) == pytest.approx(0.1 * GIB, rel=0.3)


@given(SEEDS, st.lists(st.integers(4, 190), min_size=1, max_size=6, unique=True))
@settings(max_examples=25, deadline=None)
def test_spikes_of_one_day_do_not_count(seed: int, days: list[int]) -> None:
    sizes = noisy(seed)
    spiky = sizes.copy()
    for day in days:
        if day - 1 not in days:
            spiky[day] *= 3
    assert slope_of(spiky) == pytest.approx(slope_of(sizes), rel=0.1)


def sawtooth(days: int, kept: float) -> Floats:
    """1 GiB a day; every 30 days all of it goes but a share."""
    size, sizes = 100.0, []
    for day in range(days):
        size += 1
        if day % 30 == 17:
            size -= 30 * (1 - kept)
        sizes.append(size * GIB)
    return np.array(sizes)


def test_purges_that_recur_are_part_of_the_growth() -> None:
    sizes = sawtooth(240, kept=0.2)
    assert slope_of(sizes) == pytest.approx(0.2 * GIB, rel=0.02)
    for days in (200, 215, 226, 229, 239):
        future = sawtooth(days + 500, kept=0.2)
        now, ahead = future[:days], future[days:]
        for limit in (now.max() + 2 * GIB, now.max() + 40 * GIB):
            truth = int(np.argmax(ahead >= limit)) + 1
            assert days_until(now, limit) == pytest.approx(truth, abs=2)


def test_purges_that_take_all_never_fill() -> None:
    sizes = sawtooth(240, kept=0.0)
    assert np.isnan(days_until(sizes, sizes.max() + 3 * GIB))
    assert abs(slope_of(sizes)) < 0.01 * GIB


def test_purges_that_stopped_are_over() -> None:
    sizes = np.append(sawtooth(229, kept=0.0), 0)
    stopped = np.concatenate([sizes[:-1], sizes[-2] + GIB * np.arange(1, 80)])
    assert slope_of(stopped) == pytest.approx(GIB, rel=0.05)


def test_the_slope_after_a_change_is_the_new_one_and_the_day_of_the_change_is_told() -> None:
    sizes = np.concatenate([line(200, 0.05 * GIB), line(60, GIB, 110 * GIB)])
    sizes += np.random.default_rng(3).normal(0, 0.1 * GIB, len(sizes))
    fitted = fit_one(sizes)
    assert fitted.net_slope()[0] == pytest.approx(GIB, rel=0.05)
    assert fitted.trend.regime[0] == pytest.approx(200, abs=7)


def test_what_fills_up_every_week_is_known_to_the_day() -> None:
    week = np.array([0, 0, 0, 0, 0, 0, 7.0])
    sizes = 100 * GIB + np.cumsum(np.tile(week, 60)) * GIB
    past, ahead = sizes[:210], sizes[210:]
    for limit in (past[-1] + 3 * GIB, past[-1] + 65 * GIB):
        truth = int(np.argmax(ahead >= limit)) + 1
        assert days_until(past, limit) == pytest.approx(truth, abs=1)


def test_a_season_of_any_length_is_found() -> None:
    time = np.arange(360)
    sizes = (200 + 0.05 * time + 5 * np.sin(2 * np.pi * time / 40)) * GIB
    sizes += np.random.default_rng(1).normal(0, 0.2 * GIB, len(time))
    fitted = fit_one(sizes[:300])
    assert fitted.season.period[0] == pytest.approx(40, abs=1)
    peak = fitted.peak(60)[0]
    assert peak[-1] == pytest.approx(sizes[300:].max(), abs=1.0 * GIB)


def test_speeding_up_is_foretold_to_speed_up() -> None:
    time = np.arange(300)
    sizes = (100 + 0.1 * time + 0.002 * time**2) * GIB
    ahead = (100 + 0.1 * 360 + 0.002 * 360**2) * GIB
    assert days_until(sizes, ahead) == pytest.approx(61, abs=3)


def test_slowing_down_comes_to_rest_and_does_not_turn_round() -> None:
    time = np.arange(300)
    sizes = (200 - 100 * np.exp(-time / 60)) * GIB
    fitted = fit_one(sizes)
    assert fitted.net_slope()[0] >= 0
    assert fitted.peak(730)[0, -1] == pytest.approx(200 * GIB, rel=0.02)


@pytest.mark.parametrize("sizes", [np.full(100, 5e9), np.zeros(100), np.full(20, 1.0)])
def test_what_never_changed_never_fills(sizes: Floats) -> None:
    assert slope_of(sizes) == 0
    assert np.isnan(days_until(sizes, sizes[-1] + 1e6))
    (learned,) = learn(sizes[None, :])
    told = foretell(learned, calibrated([learned]), np.array([sizes[-1] * 1.2 + 1e6]))
    assert np.isnan([told.days[0], told.earliest[0], told.latest[0]]).all()


def test_many_series_at_once_are_what_each_is_alone() -> None:
    sizes = right_aligned(generated(11, 4))
    together = fit(sizes)
    some = list(learn(sizes))
    percent = np.concatenate([one.done.percent for one in some])
    for n in range(len(sizes)):
        alone = fit(sizes[n : n + 1])
        assert alone.net_slope()[0] == pytest.approx(together.net_slope()[n], rel=1e-7, abs=1e-3)
        assert np.allclose(alone.peak(400)[0], together.peak(400)[n], rtol=1e-9)
        (learned,) = learn(sizes[n : n + 1])
        assert learned.done.percent[0] == pytest.approx(percent[n], rel=1e-6, nan_ok=True)


def test_days_before_the_first_sample_change_nothing() -> None:
    sizes = noisy(7, days=90)
    longer = np.concatenate([np.full(300, np.nan), sizes])
    assert slope_of(longer) == pytest.approx(slope_of(sizes), rel=1e-6)
    assert days_until(longer, 130 * GIB) == days_until(sizes, 130 * GIB)


@given(st.lists(st.integers(0, 10**15), min_size=14, max_size=60), st.floats(0, 2))
@settings(max_examples=60, deadline=None)
def test_whatever_the_history_the_interval_holds_the_forecast(
    values: list[int], room: float
) -> None:
    sizes = np.array([values], dtype=np.float64)
    (learned,) = learn(sizes)
    limit = np.array([sizes[0, -1] * (1 + room) + 1])
    told = foretell(learned, calibrated([learned]), limit)
    earliest, days, latest = (
        np.nan_to_num(value, nan=np.inf)[0] for value in (told.earliest, told.days, told.latest)
    )
    assert 1 <= earliest <= days <= latest
    assert np.isfinite(told.bytes_per_day).all()
