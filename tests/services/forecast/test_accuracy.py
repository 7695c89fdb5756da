"""The forecast against series whose future is known, beside a straight line over 30 days."""

from __future__ import annotations

import numpy as np
import pytest

from app.services.forecast.backtest import AHEAD, BACK, USUAL, USUAL_SIZE, calibrate, own_factor
from benchmarks.forecast_evaluation import Answer, ours, score, straight_line
from benchmarks.forecast_public import public_cases
from benchmarks.forecast_series import KINDS, Case, generated

EVENTFUL = (
    "accelerating",
    "mixed",
    "outliers",
    "purged again and again",
    "purged once",
    "restored once",
)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    made = generated(77, 20)  # a seed on which nothing was ever chosen
    assert len(made) == 20 * len(KINDS) >= 200
    return made


@pytest.fixture(scope="module")
def answers(cases: list[Case]) -> tuple[Answer, Answer]:
    return ours(cases), straight_line(cases)


def test_it_errs_less_than_half_as_much_as_a_straight_line(
    cases: list[Case], answers: tuple[Answer, Answer]
) -> None:
    own, line = (score(cases, answer, np.ones(len(cases), bool)) for answer in answers)
    assert own.median_error < 6
    assert own.median_error < line.median_error / 2
    assert own.false_alarms <= line.false_alarms
    assert own.false_alarms < 8


@pytest.mark.parametrize("kind", EVENTFUL)
def test_it_errs_less_where_something_happened(
    cases: list[Case], answers: tuple[Answer, Answer], kind: str
) -> None:
    chosen = np.array([case.kind == kind for case in cases])
    own, line = (score(cases, answer, chosen) for answer in answers)
    assert own.median_error < line.median_error


def test_the_interval_holds_about_as_often_as_it_says(
    cases: list[Case], answers: tuple[Answer, Answer]
) -> None:
    own, line = (score(cases, answer, np.ones(len(cases), bool)) for answer in answers)
    assert 75 <= own.coverage <= 95
    assert own.never_coverage >= 90
    assert own.coverage > line.coverage


def test_it_errs_less_on_public_series_and_its_interval_holds_there_too() -> None:
    cases = public_cases()[::40]
    every = np.ones(len(cases), bool)
    # One after the other: of cuts of one series, a later one knows the future of an earlier one.
    alone = [ours([case]) for case in cases]
    own = score(
        cases,
        Answer(*(np.concatenate([getattr(a, f) for a in alone]) for f in Answer.__annotations__)),
        every,
    )
    line = score(cases, straight_line(cases), every)
    assert own.median_error < line.median_error / 2
    assert 65 <= own.coverage <= 95
    assert own.coverage > 2 * line.coverage


def test_a_fleet_without_a_past_has_the_usual_interval_and_a_large_one_its_own() -> None:
    none = calibrate(np.full((3, len(BACK), len(AHEAD)), np.nan))
    assert np.array_equal(none.levels, USUAL)
    assert np.array_equal(none.size, USUAL_SIZE)
    errors = np.random.default_rng(1).normal(0, 5, (3000, len(BACK), len(AHEAD)))
    own = calibrate(errors)
    assert own.size == pytest.approx(np.full(len(AHEAD), 5 * 0.6745), rel=0.1)
    held = []
    for n in range(len(BACK)):
        scaled = errors[:, n] / own_factor(np.delete(errors, n, axis=1), own.size)[:, None]
        held.append((scaled > own.levels[0]) & (scaled < own.levels[1]))
    assert np.mean(held) == pytest.approx(0.8, abs=0.03)
