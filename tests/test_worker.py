from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

import psycopg
import pytest
from flask import Flask, current_app
from sqlalchemy import text

from app.constants.runs import State, Trigger
from app.models import db
from app.scheduler import task_functions
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service
from app.utils.run_context import bound_run
from app.worker import SESSION_OPTIONS, Registry, _in_thread, default_registry, run_all, run_worker
from tests.services.task_runs.conftest import Instances, Working, instances, until, working

__all__ = ["instances", "working"]


def test_the_tasks_are_those_of_the_schedule_and_each_with_targets_has_its_work(
    app: Flask,
) -> None:
    registry = default_registry(app)
    assert dict(registry.tasks) == task_functions(app)
    assert set(registry.item_work) <= set(registry.tasks)


def test_a_task_is_called_with_its_context_its_run_and_its_parameters(
    app: Flask, working: Working
) -> None:
    seen: dict[str, Any] = {}

    def look(colour: str) -> dict[str, Any]:
        with current_app.app_context():
            run = bound_run()
            assert run is not None
            seen.update(run_id=run.run_id, task=run.task, colour=colour, app=current_app.name)
        return {}

    run_id = task_runs_service.request(
        "look", trigger=Trigger.CLI, parameters={"colour": "blue"}
    ).run_id
    with working(Registry(tasks={"look": look}, item_work={})):
        assert task_runs_service.wait(run_id, timeout_seconds=10).state == State.SUCCEEDED
    assert seen == {"run_id": run_id, "task": "look", "colour": "blue", "app": app.name}


def test_two_thousand_waiting_items_do_not_slow_down_the_queue(
    instances: Instances, working: Working, store_url: str
) -> None:
    conninfo = store_url.replace("postgresql+psycopg", "postgresql")
    fetch = "SELECT id FROM procrastinate_fetch_job_v2(ARRAY['items']::varchar[], NULL)"

    def done(item: ItemContext) -> None:
        task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))
        db.session.commit()

    def spread(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("spread", instance_ids, done)

    ids = instances(2000)
    with psycopg.connect(conninfo, autocommit=True, options=SESSION_OPTIONS) as connection:
        for _ in range(8):  # what a worker does before there is work: the plan would be kept
            connection.execute(fetch)
        registry = Registry(tasks={"spread": spread}, item_work={"spread": done})
        run_id = task_runs_service.request(
            "spread", trigger=Trigger.CLI, parameters={"instance_ids": ids}
        ).run_id
        with working(registry):
            until(lambda: task_runs_service.get_run(run_id).planned_at is not None)
            db.session.rollback()
            taken = []
            for _ in range(20):
                started = time.monotonic()
                with connection.transaction(force_rollback=True):
                    connection.execute(fetch)
                taken.append(time.monotonic() - started)
            task_runs_service.cancel(run_id)
            run = task_runs_service.wait(run_id, timeout_seconds=20)
    assert run.ended_count == run.item_count == 2000
    assert run.cancelled_count > 1000
    print(f"\na fetch among 2,000 waiting items: {statistics.median(taken) * 1000:.1f} ms")
    assert statistics.median(taken) < 0.1


def test_a_worker_told_to_stop_does_not_wait_for_a_hung_server(
    app: Flask, instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.STOP_SECONDS", 0.5)
    release = threading.Event()
    begun = threading.Event()

    def hang(item: ItemContext) -> None:  # noqa: ARG001 - its interface
        begun.set()
        release.wait(30)

    def spread(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("spread", instance_ids, hang)

    registry = Registry(tasks={"spread": spread}, item_work={"spread": hang})
    run_id = task_runs_service.request(
        "spread", trigger=Trigger.CLI, parameters={"instance_ids": instances(2)}
    ).run_id
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(app, stop, registry))
    thread.start()
    try:
        assert begun.wait(10)
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
        assert task_runs_service.get_run(run_id).state == State.RUNNING
    finally:
        release.set()
        thread.join(30)
    time.sleep(0.5)  # the threads of the hung items end now


def test_what_a_stopped_worker_left_is_done_by_the_next_one(
    app: Flask, instances: Instances, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.STOP_SECONDS", 0.2)
    slow = threading.Event()
    slow.set()

    def work(item: ItemContext) -> None:
        if slow.is_set():
            time.sleep(2)
        task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))
        db.session.commit()

    def spread(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("spread", instance_ids, work)

    registry = Registry(tasks={"spread": spread}, item_work={"spread": work})
    run_id = task_runs_service.request(
        "spread", trigger=Trigger.CLI, parameters={"instance_ids": instances(20)}
    ).run_id
    with working(registry):
        until(lambda: any(item.attempt for item in task_runs_service.list_items(run_id)))
        db.session.rollback()
    slow.clear()
    with working(registry):
        run = task_runs_service.wait(run_id, timeout_seconds=20)
    assert (run.state, run.succeeded_count) == (State.SUCCEEDED, 20)
    assert app is not None
    time.sleep(1)  # the threads that were left behind find themselves fenced


def test_an_error_of_one_part_ends_the_whole_process(app: Flask) -> None:
    def no_schedule(scheduler: Any, app: Flask) -> None:  # noqa: ARG001 - as register_jobs
        raise RuntimeError("this schedule is broken")

    stop = threading.Event()
    with pytest.raises(RuntimeError, match="schedule is broken"):
        run_all(app, stop, Registry(tasks={}, item_work={}), no_schedule)
    assert stop.is_set()


def test_each_piece_of_work_has_a_thread_of_its_own(app: Flask) -> None:
    """The loop's own pool would hold as many as there are cores, and four."""
    inside = threading.Barrier(40, timeout=10)

    async def forty() -> list[int]:
        return await asyncio.gather(*[_in_thread(app, inside.wait) for _ in range(40)])

    assert sorted(asyncio.run(forty())) == list(range(40))


def test_importing_the_worker_starts_nothing() -> None:
    code = "import threading, app.worker, app.scheduler; print(threading.active_count())"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "1"


def test_a_worker_whose_heartbeat_is_dead_starts_again(
    instances: Instances, working: Working
) -> None:
    """Else its jobs would be given to others for ever while it works on them."""

    def rename(old: str, new: str) -> None:
        db.session.execute(text(f"ALTER FUNCTION {old}(bigint) RENAME TO {new}"))
        db.session.commit()

    def workers() -> set[int]:
        ids = set(db.session.scalars(text("SELECT id FROM procrastinate_workers")))
        db.session.rollback()
        return ids

    def done(item: ItemContext) -> None:
        task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))
        db.session.commit()

    def spread(instance_ids: list[int]) -> dict[str, Any]:
        return task_runs_service.fan_out("spread", instance_ids, done)

    ids = instances(2)
    with working(Registry(tasks={"spread": spread}, item_work={"spread": done})):
        until(lambda: len(workers()) == 2)
        first = workers()
        rename("procrastinate_update_heartbeat_v1", "out_of_order")
        until(lambda: len(workers() - first) == 2)
        rename("out_of_order", "procrastinate_update_heartbeat_v1")
        until(lambda: len(workers() - first) == 2)
        run_id = task_runs_service.request(
            "spread", trigger=Trigger.CLI, parameters={"instance_ids": ids}
        ).run_id
        assert task_runs_service.wait(run_id, timeout_seconds=20).state == State.SUCCEEDED
