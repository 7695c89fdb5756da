"""How one unit of work is done: a run's task function, or the work on one item.

Both are called by whoever took the job from the queue, inside an application context, and both
may be called again for the same run or item: at least once, never exactly once. What makes that
harmless is the attempt of an item, which fences every older one, and the plan of a run, which is
made once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from app.config import current_settings
from app.constants.reading import FailureKind
from app.constants.runs import State
from app.models import db
from app.repositories import task_runs
from app.repositories.remote.facts import ReadError
from app.services.task_runs.errors import Fenced, RunCancelled, TryAgainLater, WaitAbandoned
from app.services.task_runs.items import ItemContext, ItemOutcome, Work, close_item
from app.utils.run_context import BoundRun, run_bound
from app.utils.structlog_config import get_system_logger

TaskFunction = Callable[..., dict[str, Any]]

STORE_LOST = (OperationalError, InterfaceError)
"""Our own PostgreSQL went away, or chose us as a deadlock's victim: worth another try."""

T = TypeVar("T")

logger = get_system_logger()


def execute_item(item_id: int, work_of: Mapping[str, Work]) -> None:
    """Do the work on one item.

    1. Take it: a new attempt, which fences every older one. It has ended: there is nothing to do.
    2. Cancelling was asked for: it ends as cancelled.
    3. Call the work, which closes the item in the transaction that writes its results.
    4. An error that may pass, and attempts are left: TryAgainLater. Any other error ends the item.
    """
    begun = task_runs.begin_item(db.session, item_id)
    db.session.commit()
    if begun is None:
        return
    item = ItemContext(
        run_id=begun.run_id,
        item_id=item_id,
        instance_id=begun.instance_id,
        attempt=begun.attempt,
        task=begun.task,
        sessions=db.sessionmaker,
    )
    with structlog.contextvars.bound_contextvars(
        run_id=item.run_id,
        item_id=item_id,
        instance_id=item.instance_id,
        task=item.task,
        attempt=item.attempt,
    ):
        started = time.monotonic()
        try:
            if begun.cancel_requested:
                item.cancel()
            _known(work_of, item.task, "work on single instances for")(item)
            if not item.closed.is_set() or db.session.in_transaction():
                _close(item, _not_closed_by_its_work())
        except Fenced:
            db.session.rollback()
            logger.info("Item left to a newer attempt", module="task_runs")
        except RunCancelled as cancelled:
            _close(
                item,
                ItemOutcome(
                    State.CANCELLED,
                    error_code=FailureKind.CANCELLED,
                    error=str(cancelled),
                    receipt=_receipt(cancelled, started),
                ),
            )
        except ReadError as failed:
            if failed.transient:
                _try_again(item, failed.message)
            logger.warning(
                "Item failed", module="task_runs", error_code=failed.kind, error=failed.message
            )
            _close(item, _failure(failed, failed.kind, failed.message, started))
        except STORE_LOST as lost:
            _try_again(item, str(lost))
            logger.exception("Item failed: the store went away", module="task_runs")
            _close(item, _failure(lost, FailureKind.INTERNAL, f"our own store: {lost}", started))
        except Exception as error:
            logger.exception("Item failed", module="task_runs")
            _close(
                item,
                _failure(error, FailureKind.INTERNAL, f"{type(error).__name__}: {error}", started),
            )


def execute_run(
    run_id: int, tasks: Mapping[str, TaskFunction], *, attempts: int, stop: threading.Event
) -> None:
    """Call the task function of a run.

    A run that has a plan is ended by the last of its items, whatever becomes of this call. One
    without is ended here: by what the function returned, or by what it raised. TryAgainLater is
    raised when the store went away (three times at most), or when this process is told to end
    while it only waits.
    """
    begun = task_runs.begin_run(db.session, run_id)
    db.session.commit()
    if begun is None:
        return
    task, parameters, planned_at, cancel_requested_at = begun
    if cancel_requested_at is not None and planned_at is None:
        _end_unplanned(run_id, State.CANCELLED)
        return
    with (
        structlog.contextvars.bound_contextvars(run_id=run_id, task=task),
        run_bound(BoundRun(run_id, task, stop)),
    ):
        try:
            result = _known(tasks, task, "task named")(**parameters)
            db.session.rollback()
            _end_unplanned(run_id, _state_of(result), result=result)
        except WaitAbandoned:
            db.session.rollback()
            raise TryAgainLater(0) from None
        except STORE_LOST as lost:
            db.session.rollback()
            if attempts < 3:
                raise TryAgainLater(_backoff(attempts + 1)) from lost
            logger.exception("Run failed: the store went away", module="task_runs")
            _end_unplanned(run_id, State.FAILED, error=f"our own store: {lost}")
        except Exception as error:
            db.session.rollback()
            logger.exception("Run failed", module="task_runs")
            _end_unplanned(run_id, State.FAILED, error=f"{type(error).__name__}: {error}")


def _known(registry: Mapping[str, T], task: str, what: str) -> T:
    if task not in registry:
        raise LookupError(f"this version has no {what} {task}")
    return registry[task]


def _close(item: ItemContext, outcome: ItemOutcome) -> None:
    db.session.rollback()
    try:
        close_item(db.session, item, outcome)
        db.session.commit()
    except Fenced:
        # the usual end of an item that its work has closed itself, and of one that was taken over
        db.session.rollback()


def _not_closed_by_its_work() -> ItemOutcome:
    return ItemOutcome(
        State.FAILED,
        error_code=FailureKind.INTERNAL,
        error="the work on this instance returned without writing how it ended",
    )


def _try_again(item: ItemContext, why: str) -> None:
    db.session.rollback()
    if item.attempt >= current_settings().item_attempts:
        return
    requeued = task_runs.requeue_item(db.session, item.item_id, item.attempt)
    db.session.commit()
    if not requeued:
        return
    seconds = _backoff(item.attempt)
    logger.info(
        "Item will be tried again", module="task_runs", error=why, seconds=round(seconds, 1)
    )
    raise TryAgainLater(seconds)


def _backoff(attempt: int) -> float:
    """Return about 1 s, then 4 s: never long, for a job that waits keeps its instance locked."""
    return (1.0 if attempt <= 1 else 4.0) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load only


def _failure(error: Exception, code: str, message: str, started: float) -> ItemOutcome:
    return ItemOutcome(
        State.FAILED,
        error_code=code,
        error=message,
        coverage=getattr(error, "coverage", None),
        receipt=_receipt(error, started),
    )


def _receipt(error: Exception, started: float) -> dict[str, Any]:
    receipt: dict[str, Any] = {"ms": round((time.monotonic() - started) * 1000)}
    given = getattr(error, "receipt", None)
    if isinstance(given, dict):
        receipt |= given
    remedy = getattr(error, "remedy", None)
    if remedy:
        receipt["remedy"] = remedy
    return receipt


def _state_of(result: Mapping[str, Any]) -> State:
    if not result.get("failed_count", 0):
        return State.SUCCEEDED
    return State.PARTIAL if result.get("success_count", 0) else State.FAILED


def _end_unplanned(
    run_id: int, state: State, *, result: dict[str, Any] | None = None, error: str | None = None
) -> None:
    task_runs.end_run(
        db.session, run_id, state=state, result=result, error=error, only_unplanned=True
    )
    db.session.commit()
