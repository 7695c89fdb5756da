"""How a run becomes one piece of work per instance, and how somebody waits for its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from app.constants.runs import ENDED, State
from app.models import TaskRun, db
from app.repositories import queue, task_runs
from app.repositories.task_runs import Counts
from app.services.task_runs.closing import close_run
from app.services.task_runs.errors import UnknownRun, WaitAbandoned
from app.services.task_runs.execution import STORE_LOST
from app.utils.structlog_config import get_system_logger

POLL_SECONDS = 0.5
STORE_PATIENCE_SECONDS = 60.0

logger = get_system_logger()


def plan_items(
    run_id: int, instance_ids: Sequence[int], *, queue_name: str = queue.ITEMS_QUEUE
) -> None:
    """Write the items of a run and their jobs, once, in one transaction; does not commit.

    A run that is planned already keeps its plan. One that was cancelled meanwhile, or that has
    nothing to look at, ends here.
    """
    targets = list(dict.fromkeys(instance_ids))
    cancel_requested = task_runs.plan(db.session, run_id, len(targets))
    if cancel_requested is None:
        return
    if cancel_requested:
        task_runs.end_run(db.session, run_id, state=State.CANCELLED)
        return
    if not targets:
        close_run(db.session, run_id, Counts(0, 0, 0, 0), note="there was no instance to look at")
        return
    items = task_runs.add_items(db.session, run_id, targets)
    jobs = queue.defer_items(db.session, items, queue_name)
    task_runs.set_jobs(db.session, [item_id for item_id, _ in items], jobs)


def wait_for_end(
    run_id: int, *, stop: threading.Event | None = None, timeout_seconds: float | None = None
) -> TaskRun:
    """Return the run when it has ended, or as it is after the time-out.

    Holds no connection while it sleeps. The store may be away for a minute. Raises WaitAbandoned
    when ``stop`` is set.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    lost_since: float | None = None
    pause = 0.05
    stop = stop or threading.Event()
    while True:
        last_look = stop.is_set()
        try:
            run = task_runs.find(db.session, run_id)
            if run is None:
                raise UnknownRun(f"there is no run {run_id}")
            db.session.expunge(run)
            db.session.rollback()
            lost_since = None
            if run.state in ENDED or (deadline is not None and time.monotonic() >= deadline):
                return run
        except STORE_LOST:
            db.session.rollback()
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > STORE_PATIENCE_SECONDS:
                raise
            logger.warning("The store does not answer; still waiting", module="task_runs")
        if last_look:
            raise WaitAbandoned
        stop.wait(pause)
        pause = min(pause * 2, POLL_SECONDS)
