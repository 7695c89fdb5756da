"""A run done by the process that asked for it, without any worker.

It is a small worker of its own: a queue that nobody else reads, the same jobs and locks, a
heartbeat. If the process dies, the sweep of any worker takes over what is left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from flask import Flask

from app.config import current_settings
from app.constants.runs import Trigger
from app.models import db
from app.repositories import queue, task_runs
from app.services.task_runs.errors import RunActive, TryAgainLater
from app.services.task_runs.execution import STORE_LOST, execute_item
from app.services.task_runs.items import Work
from app.services.task_runs.planning import plan_items
from app.utils.structlog_config import get_system_logger

HEARTBEAT_SECONDS = 2.0
IDLE_SECONDS = 0.3

logger = get_system_logger()


def run_here(app: Flask, task: str, instance_ids: Sequence[int], work: Work) -> int:
    """Make a run over these instances and do it in threads of this process; return its id.

    Raises RunActive if a run of the task has not ended.
    """
    worker_id = queue.register_worker(db.session)
    queue_name = f"direct-{worker_id}"
    run_id = task_runs.insert_if_idle(
        db.session,
        task=task,
        trigger=Trigger.MANUAL,
        requested_by=None,
        parameters={"instance_ids": list(instance_ids)},
    )
    if run_id is None:
        active = task_runs.active_id(db.session, task)
        db.session.rollback()
        raise RunActive(
            f"{task} is already being done, by run {active}", "Wait for it, or cancel it."
        )
    plan_items(run_id, instance_ids, queue_name=queue_name)
    db.session.commit()
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(app, worker_id, done), daemon=True, name="heart")
    threads = [
        threading.Thread(
            target=_work,
            args=(app, worker_id, queue_name, {task: work}),
            daemon=True,
            name=f"item-{n}",
        )
        for n in range(min(current_settings().worker_threads, len(instance_ids)))
    ]
    heart.start()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        done.set()
        heart.join()
        queue.unregister_worker(db.session, worker_id)
        db.session.commit()
    return run_id


def _work(app: Flask, worker_id: int, queue_name: str, work_of: Mapping[str, Work]) -> None:
    while True:
        with app.app_context():
            try:
                job = queue.fetch(db.session, queue_name, worker_id)
                more = job is not None or queue.waiting(db.session, queue_name)
                db.session.commit()
                if job is not None:
                    _do(job[0], job[1]["item_id"], work_of)
            except STORE_LOST:
                logger.exception("The store went away; the sweep ends this run", module="task_runs")
                return
        if not more:
            return
        if job is None:  # what is left is locked by work on the same instances elsewhere
            time.sleep(IDLE_SECONDS)


def _do(job_id: int, item_id: int, work_of: Mapping[str, Work]) -> None:
    while True:
        try:
            execute_item(item_id, work_of)
        except TryAgainLater as later:
            time.sleep(later.seconds)
        else:
            break
    queue.drop(db.session, job_id)
    db.session.commit()


def _beat(app: Flask, worker_id: int, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        with app.app_context():
            try:
                queue.beat(db.session, worker_id)
                db.session.commit()
            except STORE_LOST:
                logger.warning("No heartbeat: the store does not answer", module="task_runs")
