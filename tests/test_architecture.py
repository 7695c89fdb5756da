"""The task layer's specification and the design's layers, held; every rule shown to catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.examples import (
    BAD_LAYERS,
    BAD_SCHEDULERS,
    BAD_TASKS,
    GOOD_SCHEDULER,
    GOOD_TASK,
)
from tests.architecture.layer_rules import LAYER_RULES
from tests.architecture.scheduler_rules import SCHEDULER_RULES
from tests.architecture.source import Rule, Source, sources
from tests.architecture.task_rules import TASK_RULES

ROOT = Path(__file__).parents[1]
TASK_FILES = [one for one in sources(ROOT, "app/tasks") if one.stem != "__init__"]
SCHEDULER = Source("app/scheduler.py", (ROOT / "app/scheduler.py").read_text(encoding="utf-8"))
EVERYTHING = sources(ROOT, "app")
BY_ID = {rule.id: rule for rule in (*TASK_RULES, *SCHEDULER_RULES, *LAYER_RULES)}


def _id(rule: Rule) -> str:
    return rule.id


@pytest.mark.parametrize("rule", TASK_RULES, ids=_id)
def test_every_task_file_keeps_the_rule(rule: Rule) -> None:
    assert TASK_FILES
    assert {file.path: list(rule.check(file)) for file in TASK_FILES} == {
        file.path: [] for file in TASK_FILES
    }, rule.sentence


@pytest.mark.parametrize("rule", SCHEDULER_RULES, ids=_id)
def test_the_schedule_keeps_the_rule(rule: Rule) -> None:
    assert list(rule.check(SCHEDULER, TASK_FILES)) == [], rule.sentence


@pytest.mark.parametrize("rule", LAYER_RULES, ids=_id)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    broken = {file.path: lines for file in EVERYTHING if (lines := list(rule.check(file)))}
    assert broken == {}, rule.sentence


def test_task_files_are_nowhere_else() -> None:
    folder = BY_ID["folder"]
    assert [line for file in EVERYTHING for line in folder.check(file)] == []


def test_the_template_of_the_specification_passes_every_rule() -> None:
    for rule in TASK_RULES:
        assert list(rule.check(GOOD_TASK)) == [], rule.id
    for rule in SCHEDULER_RULES:
        assert list(rule.check(GOOD_SCHEDULER, [GOOD_TASK])) == [], rule.id
    for rule in LAYER_RULES:
        assert list(rule.check(GOOD_TASK)) == [], rule.id


@pytest.mark.parametrize(("rule_id", "bad"), BAD_TASKS)
def test_a_bad_task_file_is_caught(rule_id: str, bad: Source) -> None:
    assert list(BY_ID[rule_id].check(bad)) != []


@pytest.mark.parametrize(("rule_id", "bad"), BAD_SCHEDULERS)
def test_a_bad_schedule_is_caught(rule_id: str, bad: Source) -> None:
    assert list(BY_ID[rule_id].check(bad, [GOOD_TASK])) != []


@pytest.mark.parametrize(("rule_id", "bad"), BAD_LAYERS)
def test_a_bad_file_of_another_layer_is_caught(rule_id: str, bad: Source) -> None:
    assert list(BY_ID[rule_id].check(bad)) != []


def test_every_rule_is_shown_to_catch_something() -> None:
    shown = {rule_id for rule_id, _ in (*BAD_TASKS, *BAD_SCHEDULERS, *BAD_LAYERS)}
    assert shown == set(BY_ID)
    assert len(BY_ID) == len(TASK_RULES) + len(SCHEDULER_RULES) + len(LAYER_RULES)


def test_every_sql_file_says_first_what_it_answers() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "migrations")
        for path in (ROOT / folder).rglob("*.sql")
        if not path.read_text(encoding="utf-8").startswith("-- ")
    ]
    assert silent == []
