"""What makes every run end by itself, whoever dies: looked after every few seconds by any worker.

Each step is a transaction of its own, done by one process at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from app.constants.reading import FailureKind
from app.constants.runs import ACTIVE, State
from app.models import db
from app.repositories import queue, task_runs
from app.repositories.task_runs import Counts
from app.services.task_runs.closing import close_run, close_run_if_complete
from app.utils.structlog_config import get_system_logger

STALLED_SECONDS = 8.0
"""Four heartbeats."""
DEATHS = 3
"""After so many attempts, the last one ended by the death of its worker, a job is poison."""
GRACE_SECONDS = 10.0
DEAD_WORKER_SECONDS = 60.0
ENDED_JOB_SECONDS = 3600.0
JOBS_AT_ONCE = 10_000
POISON = "the worker died while it worked on this, {attempts} times"

logger = get_system_logger()


def sweep(stalled_seconds: float = STALLED_SECONDS) -> None:
    """Put right what dead processes left behind.

    1. Jobs of dead workers are given to the living; what kills its workers ends as failed.
    2. Waiting jobs of a process that did its run itself, and died, go to the workers.
    3. Items that no job will do get one. Runs without targets and without a job end as failed.
    4. Runs whose items have all ended are closed (they are, unless somebody changed the tables).
    5. What ended well long ago leaves the queue; what failed is left to log cleanup.
    """
    _alone(lambda: _give_back(stalled_seconds))
    _alone(lambda: queue.adopt_orphans(db.session, stalled_seconds))
    _alone(_give_jobs_to_items)
    _alone(_end_runs_without_job)
    _alone(_close_complete_runs)
    _alone(_forget)


def _alone(step: Callable[[], object]) -> None:
    try:
        if queue.sweep_lock(db.session):
            step()
        db.session.commit()
    finally:
        db.session.rollback()


def _give_back(stalled_seconds: float) -> None:
    """Replace each stalled job by a new one: a worker that thaws has nothing left to finish."""
    for job in queue.stalled(db.session, stalled_seconds):
        queue.drop(db.session, job.job_id)
        if job.task_name == queue.RUN_TASK:
            _give_back_run(job.target_id, job.attempts)
        else:
            _give_back_item(job.target_id)


def _give_back_run(run_id: int, attempts: int) -> None:
    run = task_runs.lock_run(db.session, run_id)
    if run is None or run.state not in ACTIVE:
        return
    if run.planned_at is None and attempts + 1 >= DEATHS:
        logger.error("Run ended: it kills its worker", module="task_runs", run_id=run_id)
        task_runs.end_run(
            db.session, run_id, state=State.FAILED, error=POISON.format(attempts=attempts + 1)
        )
        return
    logger.warning("Run given back: its worker is dead", module="task_runs", run_id=run_id)
    queue.defer_run(db.session, run_id, attempts=attempts + 1)


def _give_back_item(item_id: int) -> None:
    item = task_runs.item_now(db.session, item_id)
    if item is None or item.state not in ACTIVE:
        return
    if item.state == State.RUNNING and item.attempt >= DEATHS:
        _end_poisoned(item.run_id, item_id, item.attempt)
        return
    logger.warning(
        "Item given back: its worker is dead",
        module="task_runs",
        run_id=item.run_id,
        item_id=item_id,
        instance_id=item.instance_id,
    )
    jobs = queue.defer_items(db.session, [(item_id, item.instance_id)])
    task_runs.set_jobs(db.session, [item_id], jobs)


def _end_poisoned(run_id: int, item_id: int, attempt: int) -> None:
    task_runs.lock_run(db.session, run_id)
    ended = task_runs.end_item(
        db.session,
        item_id,
        attempt=attempt,
        from_states=ACTIVE,
        state=State.FAILED,
        error_code=FailureKind.WORKER_DIED,
        error=POISON.format(attempts=attempt),
    )
    if ended is not None:
        logger.error("Item ended: it kills its worker", module="task_runs", item_id=item_id)
        close_run_if_complete(db.session, run_id, {State.FAILED: 1})


def _give_jobs_to_items() -> None:
    lost = task_runs.items_without_job(db.session)
    for item in lost:
        if item.state == State.RUNNING and item.attempt >= DEATHS:
            _end_poisoned(item.run_id, item.item_id, item.attempt)
    waiting = [
        (item.item_id, item.instance_id)
        for item in lost
        if item.state == State.QUEUED or item.attempt < DEATHS
    ]
    if waiting:
        logger.warning("Items had lost their job", module="task_runs", count=len(waiting))
        jobs = queue.defer_items(db.session, waiting)
        task_runs.set_jobs(db.session, [item_id for item_id, _ in waiting], jobs)


def _forget() -> None:
    queue.forget_workers(db.session, DEAD_WORKER_SECONDS)
    queue.forget_jobs(
        db.session, queue.ENDED_WELL, ended_seconds=ENDED_JOB_SECONDS, limit=JOBS_AT_ONCE
    )


def _end_runs_without_job() -> None:
    for run in task_runs.runs_without_job(db.session, GRACE_SECONDS):
        logger.error("Run ended: no job will do it", module="task_runs", run_id=run.run_id)
        task_runs.end_run(
            db.session,
            run.run_id,
            state=State.CANCELLED if run.cancel_requested else State.FAILED,
            error=None if run.cancel_requested else "its job ended without a result",
            only_unplanned=True,
        )


def _close_complete_runs() -> None:
    for run in task_runs.runs_to_close(db.session):
        counts = Counts(run.succeeded, run.partial, run.failed, run.cancelled)
        if task_runs.lock_run(db.session, run.run_id) is None:
            continue
        task_runs.set_counts(db.session, run.run_id, counts)
        close_run(db.session, run.run_id, counts, cancel_requested=run.cancel_requested)
