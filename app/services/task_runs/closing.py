"""How the end of items becomes the end of their run."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.constants.runs import State
from app.repositories import task_runs
from app.repositories.task_runs import Counts


def final_state(counts: Counts, *, cancel_requested: bool) -> State:
    """Return how a run whose items have all ended is to be called."""
    if cancel_requested and counts.cancelled:
        return State.CANCELLED
    if counts.succeeded == counts.ended:
        return State.SUCCEEDED
    if counts.failed == counts.ended:
        return State.FAILED
    return State.PARTIAL


def close_run_if_complete(session: Session, run_id: int, ended: Mapping[str, int]) -> None:
    """Count items that have just ended, and end the run with the last of them.

    Concurrent callers are put in order by the run's row; exactly one of them sees the sum complete.
    """
    item_count, counts, cancel_requested = task_runs.count_ended(
        session,
        run_id,
        Counts(
            ended.get(State.SUCCEEDED, 0),
            ended.get(State.PARTIAL, 0),
            ended.get(State.FAILED, 0),
            ended.get(State.CANCELLED, 0),
        ),
    )
    if counts.ended >= item_count:
        close_run(session, run_id, counts, cancel_requested=cancel_requested)


def close_run(
    session: Session,
    run_id: int,
    counts: Counts,
    *,
    cancel_requested: bool = False,
    note: str | None = None,
) -> None:
    """End a run by how its items ended."""
    task_runs.end_run(
        session,
        run_id,
        state=final_state(counts, cancel_requested=cancel_requested),
        result=counts_as_result(run_id, counts) | ({"note": note} if note else {}),
    )


def counts_as_result(run_id: int, counts: Counts) -> dict[str, int | str]:
    """Return the counters as what a task function returns."""
    return {
        "run_id": run_id,
        "success_count": counts.succeeded,
        "partial_count": counts.partial,
        "failed_count": counts.failed,
        "cancelled_count": counts.cancelled,
    }
