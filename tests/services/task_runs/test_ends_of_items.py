from __future__ import annotations

import threading
import time

import pytest
from flask import Flask
from sqlalchemy import text

from app.constants.runs import State, Trigger
from app.models import db
from app.repositories import queue, task_runs
from app.services.task_runs import sweep
from app.services.task_runs.errors import Fenced, RunCancelled
from app.services.task_runs.execution import execute_item
from app.services.task_runs.items import ItemContext, ItemOutcome, close_item
from app.services.task_runs.planning import plan_items
from app.services.task_runs.task_runs_service import task_runs_service
from tests.services.task_runs.conftest import Instances

DONE = ItemOutcome(State.SUCCEEDED)


def planned(instance_ids: list[int], task: str = "spread") -> int:
    run_id = task_runs_service.request(task, trigger=Trigger.CLI).run_id
    plan_items(run_id, instance_ids)
    db.session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = 'run_task'"))
    db.session.commit()
    return run_id


def begun(item_id: int) -> ItemContext:
    item = task_runs.begin_item(db.session, item_id)
    db.session.commit()
    assert item is not None
    return ItemContext(
        item.run_id, item_id, item.instance_id, item.attempt, item.task, db.sessionmaker
    )


def item_ids(run_id: int) -> list[int]:
    return [item.id for item in task_runs_service.list_items(run_id)]


def taken_by_a_dead_worker(*, task_name: str = "run_item") -> None:
    """Leave the jobs as a worker leaves them that was killed a minute ago."""
    worker = queue.register_worker(db.session)
    db.session.execute(
        text(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"
            " WHERE task_name = :task_name AND status = 'todo'"
        ),
        {"worker": worker, "task_name": task_name},
    )
    db.session.execute(
        text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")
    )
    db.session.commit()


def test_what_an_older_attempt_writes_is_refused(instances: Instances) -> None:
    run_id = planned(instances(1))
    older = begun(item_ids(run_id)[0])
    newer = begun(older.item_id)
    assert newer.attempt == older.attempt + 1
    with pytest.raises(Fenced):
        close_item(db.session, older, DONE)
    db.session.rollback()
    close_item(db.session, newer, DONE)
    db.session.commit()
    with pytest.raises(Fenced):
        close_item(db.session, newer, DONE)
    db.session.rollback()
    run = task_runs_service.get_run(run_id)
    assert (run.state, run.succeeded_count) == (State.SUCCEEDED, 1)


def test_an_item_that_ended_is_not_begun_again(instances: Instances) -> None:
    run_id = planned(instances(1))
    item = begun(item_ids(run_id)[0])
    close_item(db.session, item, DONE)
    db.session.commit()
    calls: list[ItemContext] = []
    execute_item(item.item_id, {"spread": calls.append})
    assert calls == []


def test_the_last_of_many_simultaneous_ends_closes_the_run_once(
    app: Flask, instances: Instances
) -> None:
    run_id = planned(instances(24))
    items = [begun(item_id) for item_id in item_ids(run_id)]
    barrier = threading.Barrier(24)
    failures = []

    def end(item: ItemContext, state: State) -> None:
        with app.app_context():
            barrier.wait()
            try:
                close_item(db.session, item, ItemOutcome(state))
                db.session.commit()
            except Exception as error:  # noqa: BLE001 - shown by the assertion
                failures.append(error)

    states = [State.SUCCEEDED, State.PARTIAL, State.FAILED] * 8
    threads = [threading.Thread(target=end, args=pair) for pair in zip(items, states, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    run = task_runs_service.get_run(run_id)
    assert (run.succeeded_count, run.partial_count, run.failed_count) == (8, 8, 8)
    assert run.state == State.PARTIAL
    assert run.ended_at is not None


def test_an_item_whose_writes_are_rolled_back_has_not_ended(instances: Instances) -> None:
    run_id = planned(instances(1))
    item = begun(item_ids(run_id)[0])
    close_item(db.session, item, DONE)
    db.session.rollback()
    run = task_runs_service.get_run(run_id)
    assert (run.state, run.ended_count) == (State.RUNNING, 0)


def test_a_checkpoint_says_when_to_stop(instances: Instances) -> None:
    run_id = planned(instances(2))
    first, second = (begun(item_id) for item_id in item_ids(run_id))
    first.checkpoint()
    begun(first.item_id)
    time.sleep(1.05)
    with pytest.raises(Fenced):
        first.checkpoint()
    task_runs_service.cancel(run_id)
    with pytest.raises(RunCancelled):
        second.checkpoint()


def test_a_plan_is_made_once(instances: Instances) -> None:
    ids = instances(3)
    run_id = planned(ids)
    plan_items(run_id, ids[:1])
    db.session.commit()
    assert task_runs_service.get_run(run_id).item_count == 3
    assert len(item_ids(run_id)) == 3


def test_jobs_of_a_dead_worker_are_given_back_as_new_ones(instances: Instances) -> None:
    run_id = planned(instances(2))
    begun(item_ids(run_id)[0])
    taken_by_a_dead_worker()
    before = set(db.session.scalars(text("SELECT id FROM procrastinate_jobs")))
    sweep.sweep()
    jobs = db.session.execute(text("SELECT id, status FROM procrastinate_jobs")).all()
    assert {job.status for job in jobs} == {"todo"}
    assert len(jobs) == 2
    assert before.isdisjoint({job.id for job in jobs})
    sweep.sweep()
    assert len(db.session.execute(text("SELECT id FROM procrastinate_jobs")).all()) == 2


def test_an_item_that_kills_its_worker_again_and_again_ends_as_failed(
    instances: Instances,
) -> None:
    run_id = planned(instances(1))
    for _ in range(3):
        begun(item_ids(run_id)[0])
        taken_by_a_dead_worker()
        sweep.sweep()
    run = task_runs_service.get_run(run_id)
    assert run.state == State.FAILED
    item = task_runs_service.list_items(run_id)[0]
    assert (item.error_code, item.attempt) == ("worker_died", 3)
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_a_run_that_kills_its_worker_before_it_is_planned_ends_as_failed(app: Flask) -> None:  # noqa: ARG001 - its context
    run_id = task_runs_service.request("spread", trigger=Trigger.CLI).run_id
    for _ in range(3):
        assert task_runs_service.get_run(run_id).ended_at is None
        taken_by_a_dead_worker(task_name="run_task")
        sweep.sweep()
    run = task_runs_service.get_run(run_id)
    assert run.state == State.FAILED
    assert "3 times" in (run.error or "")


def test_a_run_that_waits_for_its_items_survives_any_number_of_dead_workers(
    instances: Instances,
) -> None:
    ids = instances(1)
    run_id = task_runs_service.request("spread", trigger=Trigger.CLI).run_id
    plan_items(run_id, ids)
    db.session.commit()
    for _ in range(5):
        taken_by_a_dead_worker(task_name="run_task")
        sweep.sweep()
    assert task_runs_service.get_run(run_id).state == State.RUNNING


def test_items_that_lost_their_job_get_another_one(instances: Instances) -> None:
    run_id = planned(instances(3))
    begun(item_ids(run_id)[0])
    db.session.execute(text("DELETE FROM procrastinate_jobs"))
    db.session.commit()
    sweep.sweep()
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 3
    sweep.sweep()
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 3


def test_a_run_that_lost_its_job_before_it_was_planned_ends_as_failed(app: Flask) -> None:  # noqa: ARG001 - its context
    run_id = task_runs_service.request("spread", trigger=Trigger.CLI).run_id
    db.session.execute(text("DELETE FROM procrastinate_jobs"))
    db.session.commit()
    sweep.sweep()
    assert task_runs_service.get_run(run_id).ended_at is None
    db.session.execute(text("UPDATE task_runs SET requested_at = now() - interval '11 seconds'"))
    db.session.commit()
    sweep.sweep()
    run = task_runs_service.get_run(run_id)
    assert (run.state, run.error) == (State.FAILED, "its job ended without a result")


def test_a_run_whose_counters_were_lost_is_closed_by_what_its_items_say(
    instances: Instances,
) -> None:
    run_id = planned(instances(2))
    db.session.execute(text("UPDATE task_run_items SET state = 'succeeded', ended_at = now()"))
    db.session.commit()
    sweep.sweep()
    run = task_runs_service.get_run(run_id)
    assert (run.state, run.succeeded_count, run.item_count) == (State.SUCCEEDED, 2, 2)


def test_waiting_jobs_of_a_process_that_worked_alone_go_to_the_workers(
    instances: Instances,
) -> None:
    ids = instances(3)
    worker = queue.register_worker(db.session)
    run_id = task_runs_service.request("spread", trigger=Trigger.MANUAL).run_id
    plan_items(run_id, ids, queue_name=f"direct-{worker}")
    db.session.commit()
    sweep.sweep()
    queues = text("SELECT DISTINCT queue_name FROM procrastinate_jobs WHERE task_name = 'run_item'")
    assert db.session.scalars(queues).all() == [f"direct-{worker}"]
    db.session.execute(
        text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '9 seconds'")
    )
    db.session.commit()
    sweep.sweep()
    assert db.session.scalars(queues).all() == ["items"]


def test_the_queue_forgets_what_ended_long_ago_and_who_died(instances: Instances) -> None:
    planned(instances(2))
    taken_by_a_dead_worker()
    db.session.execute(text("UPDATE task_run_items SET state = 'failed'"))
    db.session.execute(text("UPDATE procrastinate_jobs SET status = 'aborted'"))
    db.session.execute(text("UPDATE procrastinate_events SET at = now() - interval '2 hours'"))
    db.session.execute(
        text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '2 minutes'")
    )
    db.session.commit()
    sweep.sweep()
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_workers")) == 0
