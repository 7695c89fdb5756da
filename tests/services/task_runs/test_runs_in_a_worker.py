from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from app.constants.reading import FailureKind
from app.constants.runs import State, Trigger
from app.models import db
from app.repositories.remote.facts import ReadError
from app.services.task_runs.errors import NothingToRetry, RunActive, RunEnded, UnknownRun
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service
from app.worker import Registry
from tests.services.task_runs.conftest import Instances, Working, until


def succeed(item: ItemContext) -> None:
    task_runs_service.close_item(
        db.session, item, ItemOutcome(State.SUCCEEDED, coverage={"full": 1}, receipt={"rows": 3})
    )
    db.session.commit()


def spreading(work: Any) -> Registry:
    def spread(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("spread", instance_ids, work)

    return Registry(tasks={"spread": spread}, item_work={"spread": work})


def request(instance_ids: list[int]) -> int:
    return task_runs_service.request(
        "spread", trigger=Trigger.CLI, requested_by="me", parameters={"instance_ids": instance_ids}
    ).run_id


def test_a_run_over_many_instances_succeeds_and_leaves_no_job_behind(
    instances: Instances, working: Working
) -> None:
    run_id = request(instances(20))
    with working(spreading(succeed)):
        run = task_runs_service.wait(run_id, timeout_seconds=20)
    assert (run.state, run.item_count, run.succeeded_count) == (State.SUCCEEDED, 20, 20)
    assert run.result == {
        "run_id": run_id,
        "success_count": 20,
        "partial_count": 0,
        "failed_count": 0,
        "cancelled_count": 0,
    }
    items = task_runs_service.list_items(run_id)
    assert [item.instance_name for item in items] == [f"server-{n:04}" for n in range(20)]
    assert {(item.attempt, str(item.receipt)) for item in items} == {(1, "{'rows': 3}")}
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_a_second_request_is_answered_with_the_active_run(instances: Instances) -> None:
    ids = instances(1)
    first = task_runs_service.request("spread", trigger=Trigger.CLI)
    second = task_runs_service.request("spread", trigger=Trigger.API, parameters={"a": ids})
    other = task_runs_service.request("another", trigger=Trigger.CLI)
    assert first.created
    assert not second.created
    assert second.run_id == first.run_id
    assert other.created
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 2


def test_simultaneous_requests_make_one_run(app: Flask) -> None:
    answers = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        with app.app_context():
            barrier.wait()
            answers.append(task_runs_service.request("spread", trigger=Trigger.CLI))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.run_id for answer in answers}) == 1


def test_errors_that_pass_are_tried_again_and_the_others_are_not(
    instances: Instances, working: Working
) -> None:
    flaky, closed, broken = ids = instances(3)

    def work(item: ItemContext) -> None:
        if item.instance_id == flaky and item.attempt < 3:
            raise ReadError(FailureKind.REFUSED, "connection refused")
        if item.instance_id == closed:
            raise ReadError(FailureKind.LOGIN, "password wrong", "set the password")
        if item.instance_id == broken:
            raise ZeroDivisionError("a fault of ours")
        succeed(item)

    run_id = request(ids)
    with working(spreading(work)):
        run = task_runs_service.wait(run_id, timeout_seconds=30)
    assert run.state == State.PARTIAL
    assert (run.succeeded_count, run.failed_count) == (1, 2)
    by_id = {item.instance_id: item for item in task_runs_service.list_items(run_id)}
    assert (by_id[flaky].state, by_id[flaky].attempt) == (State.SUCCEEDED, 3)
    assert (by_id[closed].state, by_id[closed].attempt) == (State.FAILED, 1)
    assert (by_id[closed].error_code, by_id[closed].error) == ("login", "password wrong")
    assert (by_id[closed].receipt or {})["remedy"] == "set the password"
    assert by_id[broken].error_code == "internal"
    assert by_id[broken].error == "ZeroDivisionError: a fault of ours"


def test_a_run_whose_items_all_fail_has_failed_and_only_those_are_retried(
    instances: Instances, working: Working
) -> None:
    good, bad = ids = instances(2)
    healed = threading.Event()

    def work(item: ItemContext) -> None:
        if item.instance_id == bad and not healed.is_set():
            raise ReadError(FailureKind.DNS, "no such host")
        succeed(item)

    with working(spreading(work)):
        first = task_runs_service.wait(request(ids), timeout_seconds=20)
        assert first.state == State.PARTIAL
        again = task_runs_service.retry_failed(first.id, by="me")
        second = task_runs_service.wait(again.run_id, timeout_seconds=20)
        assert second.state == State.FAILED
        assert (second.trigger, second.retry_of_id, second.item_count) == ("retry", first.id, 1)
        healed.set()
        third = task_runs_service.wait(
            task_runs_service.retry_failed(second.id).run_id, timeout_seconds=20
        )
    assert third.state == State.SUCCEEDED
    assert [item.instance_id for item in task_runs_service.list_items(third.id)] == [bad]
    with pytest.raises(NothingToRetry):
        task_runs_service.retry_failed(third.id)
    assert good not in third.parameters["instance_ids"]


def test_a_run_without_targets_succeeds_at_once_and_says_so(
    instances: Instances, working: Working
) -> None:
    instances(1)
    run_id = request([])
    with working(spreading(succeed)):
        run = task_runs_service.wait(run_id, timeout_seconds=10)
    assert run.state == State.SUCCEEDED
    assert (run.result or {})["note"] == "there was no instance to look at"


def test_a_task_without_items_is_ended_by_what_it_returns_or_raises(working: Working) -> None:
    def tidy() -> dict[str, Any]:
        return {"success_count": 4, "failed_count": 1, "removed": 7}

    def stumble() -> dict[str, Any]:
        raise ValueError("nothing works")

    registry = Registry(tasks={"tidy": tidy, "stumble": stumble}, item_work={})
    with working(registry):
        ended = {
            task: task_runs_service.wait(
                task_runs_service.request(task, trigger=Trigger.CLI).run_id, timeout_seconds=10
            )
            for task in ("tidy", "stumble", "unheard_of")
        }
    assert ended["tidy"].state == State.PARTIAL
    assert ended["tidy"].result == {"success_count": 4, "failed_count": 1, "removed": 7}
    assert ended["stumble"].state == State.FAILED
    assert ended["stumble"].error == "ValueError: nothing works"
    assert "no task named unheard_of" in (ended["unheard_of"].error or "")


def test_cancelling_ends_waiting_items_now_and_running_ones_at_their_checkpoint(
    instances: Instances, working: Working
) -> None:
    begun: set[int] = set()

    def work(item: ItemContext) -> None:
        begun.add(item.instance_id)
        for _ in range(200):
            time.sleep(0.1)
            item.checkpoint()

    run_id = request(instances(40))
    with working(spreading(work)):
        until(lambda: len(begun) == 16)
        run = task_runs_service.cancel(run_id, by="me")
        assert run.cancelled_count == 24
        assert run.state == State.RUNNING
        asked = time.monotonic()
        run = task_runs_service.wait(run_id, timeout_seconds=10)
        assert time.monotonic() - asked < 3
    assert (run.state, run.cancelled_count) == (State.CANCELLED, 40)
    assert len(begun) == 16
    assert {item.error for item in task_runs_service.list_items(run_id)} == {
        "cancelled by me",
        f"run {run_id} was cancelled",
    }
    with pytest.raises(RunEnded):
        task_runs_service.cancel(run_id)


def test_a_run_that_nobody_has_begun_is_cancelled_at_once(
    instances: Instances, working: Working
) -> None:
    run_id = request(instances(3))
    assert task_runs_service.cancel(run_id).state == State.CANCELLED
    with working(spreading(succeed)):
        until(lambda: db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0)
        db.session.rollback()
    assert task_runs_service.get_run(run_id).item_count == 0


def test_work_that_returns_without_ending_its_item_has_failed(
    instances: Instances, working: Working
) -> None:
    run_id = request(instances(1))
    with working(spreading(lambda _item: None)):
        run = task_runs_service.wait(run_id, timeout_seconds=10)
    assert run.state == State.FAILED
    assert "without writing how it ended" in (task_runs_service.list_items(run_id)[0].error or "")


def test_work_that_does_not_commit_the_end_of_its_item_has_failed(
    instances: Instances, working: Working
) -> None:
    def forget(item: ItemContext) -> None:
        task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))

    run_id = request(instances(1))
    with working(spreading(forget)):
        run = task_runs_service.wait(run_id, timeout_seconds=10)
    assert run.state == State.FAILED


def test_no_two_jobs_touch_one_instance_at_once(instances: Instances, working: Working) -> None:
    ids = instances(4)
    inside: list[int] = []
    lock = threading.Lock()
    collisions = []

    def work(item: ItemContext) -> None:
        with lock:
            if item.instance_id in inside:
                collisions.append(item.instance_id)
            inside.append(item.instance_id)
        time.sleep(0.3)
        with lock:
            inside.remove(item.instance_id)
        succeed(item)

    def one(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("one", instance_ids, work)

    def two(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("two", instance_ids, work)

    registry = Registry(tasks={"one": one, "two": two}, item_work={"one": work, "two": work})
    with working(registry):
        runs = [
            task_runs_service.request(
                task, trigger=Trigger.CLI, parameters={"instance_ids": ids}
            ).run_id
            for task in ("one", "two")
        ]
        ended = [task_runs_service.wait(run_id, timeout_seconds=20) for run_id in runs]
    assert [run.state for run in ended] == [State.SUCCEEDED, State.SUCCEEDED]
    assert collisions == []


def test_three_hung_servers_among_fifty_cost_their_own_time_once(
    instances: Instances, working: Working
) -> None:
    ids = instances(50)
    hung = set(ids[:3])

    def work(item: ItemContext) -> None:
        if item.instance_id in hung:
            time.sleep(3)
            raise ReadError(FailureKind.CONNECT_TIMEOUT, "no answer in 3 s")
        succeed(item)

    run_id = request(ids)
    with working(spreading(work)):
        run = task_runs_service.wait(run_id, timeout_seconds=30)
    assert (run.succeeded_count, run.failed_count) == (47, 3)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert (run.ended_at - run.started_at).total_seconds() < 5.0


def test_called_directly_a_task_does_its_work_without_a_worker(instances: Instances) -> None:
    flaky, *_ = ids = instances(5)
    names = set()

    def work(item: ItemContext) -> None:
        names.add(threading.current_thread().name)
        if item.instance_id == flaky and item.attempt == 1:
            raise ReadError(FailureKind.LOST, "connection lost")
        succeed(item)

    result = task_runs_service.fan_out("spread", ids, work)
    run = task_runs_service.get_run(result["run_id"])
    assert (run.state, run.trigger) == (State.SUCCEEDED, Trigger.MANUAL)
    assert result["success_count"] == 5
    assert threading.current_thread().name not in names
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_workers")) == 0


def test_called_directly_while_a_run_is_active_it_says_which(instances: Instances) -> None:
    ids = instances(1)
    run_id = request(ids)
    with pytest.raises(RunActive, match=f"run {run_id}"):
        task_runs_service.fan_out("spread", ids, succeed)


def test_an_unknown_run_is_said_to_be_unknown(app: Flask) -> None:  # noqa: ARG001 - its context
    with pytest.raises(UnknownRun, match="no run 77"):
        task_runs_service.get_run(77)


def test_runs_are_listed_newest_first_by_task_and_state(app: Flask) -> None:  # noqa: ARG001 - its context
    first = task_runs_service.request("a", trigger=Trigger.CLI).run_id
    task_runs_service.cancel(first)
    second = task_runs_service.request("a", trigger=Trigger.CLI).run_id
    third = task_runs_service.request("b", trigger=Trigger.CLI).run_id
    assert [run.id for run in task_runs_service.list_runs()] == [third, second, first]
    assert [run.id for run in task_runs_service.list_runs(task="a")] == [second, first]
    assert [run.id for run in task_runs_service.list_runs(states=[State.CANCELLED])] == [first]
    assert [run.id for run in task_runs_service.list_runs(before_id=second)] == [first]
    assert [run.id for run in task_runs_service.list_runs(limit=1)] == [third]


def test_a_worker_outlives_its_connections(
    app: Flask, instances: Instances, working: Working, store_url: str
) -> None:
    ids = instances(6)

    def work(item: ItemContext) -> None:
        time.sleep(1)
        succeed(item)

    with working(spreading(work)):
        run_id = request(ids)
        until(lambda: task_runs_service.get_run(run_id).planned_at is not None)
        db.session.rollback()
        conninfo = store_url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        run = task_runs_service.wait(run_id, timeout_seconds=40)
    assert run.state == State.SUCCEEDED
    assert run.succeeded_count == 6
    assert app is not None
