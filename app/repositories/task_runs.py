"""Runs and their items: every question to, and every step of, their tables.

Whoever ends an item that runs takes the item's row first and the run's row last, and commits soon
after. Whoever ends items that only wait takes the run's row first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import CursorResult, Row, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.constants.runs import ACTIVE, State
from app.models import Instance, TaskRun, TaskRunItem
from app.utils.sql_files import load_sql


class Counts(NamedTuple):
    """How the items of a run ended so far."""

    succeeded: int
    partial: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        """Items that have ended."""
        return sum(self)


class BegunItem(NamedTuple):
    """An item that has just become ours."""

    run_id: int
    instance_id: int
    attempt: int
    task: str
    cancel_requested: bool


def insert_if_idle(
    session: Session,
    *,
    task: str,
    trigger: str,
    requested_by: str | None,
    parameters: dict[str, Any],
    retry_of_id: int | None = None,
) -> int | None:
    """Write a queued run; return its id, or None because a run of this task is active already."""
    return session.scalar(
        upsert(TaskRun)
        .values(
            task=task,
            trigger=trigger,
            requested_by=requested_by,
            parameters=parameters,
            retry_of_id=retry_of_id,
        )
        .on_conflict_do_nothing(
            index_elements=[TaskRun.task], index_where=TaskRun.state.in_(ACTIVE)
        )
        .returning(TaskRun.id)
    )


def active_id(session: Session, task: str) -> int | None:
    """Return the run of this task that has not ended; None if there is none."""
    return session.scalar(select(TaskRun.id).where(TaskRun.task == task, TaskRun.state.in_(ACTIVE)))


def begin_run(
    session: Session, run_id: int
) -> Row[str, dict[str, Any], datetime | None, datetime | None] | None:
    """Set a run running: (task, parameters, planned_at, cancel_requested_at); None: it ended."""
    return session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id, TaskRun.state.in_(ACTIVE))
        .values(
            state=State.RUNNING,
            started_at=func.coalesce(TaskRun.started_at, func.clock_timestamp()),
        )
        .returning(
            TaskRun.task, TaskRun.parameters, TaskRun.planned_at, TaskRun.cancel_requested_at
        )
    ).one_or_none()


def plan(session: Session, run_id: int, item_count: int) -> bool | None:
    """Fix the number of items: whether cancelling was asked for; None: there is a plan already."""
    row = session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id, TaskRun.planned_at.is_(None), TaskRun.state.in_(ACTIVE))
        .values(
            planned_at=func.clock_timestamp(),
            item_count=item_count,
            state=State.RUNNING,
            started_at=func.coalesce(TaskRun.started_at, func.clock_timestamp()),
        )
        .returning(TaskRun.cancel_requested_at)
    ).one_or_none()
    return None if row is None else row.cancel_requested_at is not None


def add_items(session: Session, run_id: int, instance_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Write one queued item per instance; return (item id, instance id) pairs."""
    rows = session.execute(
        insert(TaskRunItem).returning(TaskRunItem.id, TaskRunItem.instance_id),
        [{"run_id": run_id, "instance_id": instance_id} for instance_id in instance_ids],
    )
    return [(row.id, row.instance_id) for row in rows]


def set_jobs(session: Session, item_ids: Sequence[int], job_ids: Sequence[int]) -> None:
    """Note which job of the queue will do which item."""
    session.connection().exec_driver_sql(
        "UPDATE task_run_items AS item SET job_id = given.job_id"
        " FROM unnest(%(items)s::bigint[], %(jobs)s::bigint[]) AS given (item_id, job_id)"
        " WHERE item.id = given.item_id",
        {"items": list(item_ids), "jobs": list(job_ids)},
    )


def begin_item(session: Session, item_id: int) -> BegunItem | None:
    """Take an item for a new attempt, which fences the older ones; None if it has ended."""
    row = session.execute(
        update(TaskRunItem)
        .where(
            TaskRunItem.id == item_id,
            TaskRunItem.state.in_(ACTIVE),
            TaskRun.id == TaskRunItem.run_id,
        )
        .values(
            state=State.RUNNING,
            attempt=TaskRunItem.attempt + 1,
            started_at=func.coalesce(TaskRunItem.started_at, func.clock_timestamp()),
        )
        .returning(
            TaskRunItem.run_id,
            TaskRunItem.instance_id,
            TaskRunItem.attempt,
            TaskRun.task,
            TaskRun.cancel_requested_at,
        )
    ).one_or_none()
    if row is None:
        return None
    return BegunItem(
        row.run_id, row.instance_id, row.attempt, row.task, row.cancel_requested_at is not None
    )


def requeue_item(session: Session, item_id: int, attempt: int) -> bool:
    """Put an item back to wait for its next attempt; whether it was still ours."""
    result = session.execute(
        update(TaskRunItem)
        .where(
            TaskRunItem.id == item_id,
            TaskRunItem.attempt == attempt,
            TaskRunItem.state == State.RUNNING,
        )
        .values(state=State.QUEUED)
    )
    return _count(result) == 1


def end_item(
    session: Session,
    item_id: int,
    *,
    attempt: int,
    from_states: Sequence[str],
    state: str,
    error_code: str | None = None,
    error: str | None = None,
    coverage: dict[str, Any] | None = None,
    receipt: dict[str, Any] | None = None,
) -> int | None:
    """End an item if it is still that attempt's; return its run's id, None if it was not."""
    return session.scalar(
        update(TaskRunItem)
        .where(
            TaskRunItem.id == item_id,
            TaskRunItem.attempt == attempt,
            TaskRunItem.state.in_(from_states),
        )
        .values(
            state=state,
            ended_at=func.clock_timestamp(),
            error_code=error_code,
            error=error,
            coverage=coverage,
            receipt=receipt,
        )
        .returning(TaskRunItem.run_id)
    )


def count_ended(session: Session, run_id: int, ended: Counts) -> tuple[int, Counts, bool]:
    """Add to the run's counters: (item_count, counters, cancel requested). Locks the run's row."""
    row = session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id)
        .values(
            succeeded_count=TaskRun.succeeded_count + ended.succeeded,
            partial_count=TaskRun.partial_count + ended.partial,
            failed_count=TaskRun.failed_count + ended.failed,
            cancelled_count=TaskRun.cancelled_count + ended.cancelled,
        )
        .returning(
            TaskRun.item_count,
            TaskRun.succeeded_count,
            TaskRun.partial_count,
            TaskRun.failed_count,
            TaskRun.cancelled_count,
            TaskRun.cancel_requested_at,
        )
    ).one()
    return row[0], Counts(*row[1:5]), row[5] is not None


def set_counts(session: Session, run_id: int, counts: Counts) -> None:
    """Correct the counters to what the items say."""
    session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id)
        .values(
            item_count=counts.ended,
            succeeded_count=counts.succeeded,
            partial_count=counts.partial,
            failed_count=counts.failed,
            cancelled_count=counts.cancelled,
        )
    )


def end_run(
    session: Session,
    run_id: int,
    *,
    state: str,
    result: dict[str, Any] | None = None,
    error: str | None = None,
    only_unplanned: bool = False,
) -> bool:
    """End a run and tell whoever waits for it; whether it was still active."""
    statement = update(TaskRun).where(TaskRun.id == run_id, TaskRun.state.in_(ACTIVE))
    if only_unplanned:
        statement = statement.where(TaskRun.planned_at.is_(None))
    ended = session.execute(
        statement.values(state=state, ended_at=func.clock_timestamp(), result=result, error=error)
    )
    return _count(ended) == 1


def request_cancel(session: Session, run_id: int) -> bool | None:
    """Note that a run shall end, and lock it: whether it has a plan; None if it has ended."""
    row = session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id, TaskRun.state.in_(ACTIVE))
        .values(
            cancel_requested_at=func.coalesce(TaskRun.cancel_requested_at, func.clock_timestamp())
        )
        .returning(TaskRun.planned_at, TaskRun.state)
    ).one_or_none()
    return None if row is None else row.planned_at is not None


def cancel_queued_items(session: Session, run_id: int, reason: str) -> list[int | None]:
    """End the items that nobody has begun; return their jobs."""
    rows = session.scalars(
        update(TaskRunItem)
        .where(TaskRunItem.run_id == run_id, TaskRunItem.state == State.QUEUED)
        .values(
            state=State.CANCELLED,
            ended_at=func.clock_timestamp(),
            error_code="cancelled",
            error=reason,
        )
        .returning(TaskRunItem.job_id)
    )
    return list(rows)


def may_go_on(session: Session, item_id: int, attempt: int) -> tuple[bool, bool]:
    """Return (the item is still this attempt's, cancelling was asked for)."""
    row = session.execute(
        select(
            (TaskRunItem.attempt == attempt) & (TaskRunItem.state == State.RUNNING),
            TaskRun.cancel_requested_at.is_not(None),
        )
        .join(TaskRun, TaskRun.id == TaskRunItem.run_id)
        .where(TaskRunItem.id == item_id)
    ).one_or_none()
    return (False, True) if row is None else (row[0], row[1])


def item_now(session: Session, item_id: int) -> Row[int, int, str, int] | None:
    """Return (run_id, attempt, state, instance_id) of an item."""
    return session.execute(
        select(
            TaskRunItem.run_id, TaskRunItem.attempt, TaskRunItem.state, TaskRunItem.instance_id
        ).where(TaskRunItem.id == item_id)
    ).one_or_none()


def lock_run(session: Session, run_id: int) -> Row[str, datetime | None] | None:
    """Return (state, planned_at) of a run that nobody else can end before the transaction ends."""
    return session.execute(
        select(TaskRun.state, TaskRun.planned_at)
        .where(TaskRun.id == run_id)
        .with_for_update(key_share=True)
    ).one_or_none()


def find(session: Session, run_id: int) -> TaskRun | None:
    """Return a run as it is now."""
    return session.scalar(
        select(TaskRun).where(TaskRun.id == run_id).execution_options(populate_existing=True)
    )


def newest(
    session: Session,
    *,
    task: str | None,
    states: Sequence[str],
    limit: int,
    before_id: int | None,
) -> Sequence[TaskRun]:
    """Return runs, newest first."""
    query: Select[TaskRun] = select(TaskRun).order_by(TaskRun.id.desc()).limit(limit)
    if task is not None:
        query = query.where(TaskRun.task == task)
    if states:
        query = query.where(TaskRun.state.in_(states))
    if before_id is not None:
        query = query.where(TaskRun.id < before_id)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def items_of(
    session: Session, run_id: int, states: Sequence[str]
) -> Sequence[Row[TaskRunItem, str]]:
    """Return (item, instance name) of a run, by name."""
    query = (
        select(TaskRunItem, Instance.name)
        .join(Instance, Instance.id == TaskRunItem.instance_id)
        .where(TaskRunItem.run_id == run_id)
        .order_by(Instance.name, TaskRunItem.id)
    )
    if states:
        query = query.where(TaskRunItem.state.in_(states))
    return session.execute(query.execution_options(populate_existing=True)).all()


def failed_instances(session: Session, run_id: int) -> list[int]:
    """Return the instances whose item failed and that are still to be looked after."""
    return list(
        session.scalars(
            select(TaskRunItem.instance_id)
            .join(Instance, Instance.id == TaskRunItem.instance_id)
            .where(
                TaskRunItem.run_id == run_id,
                TaskRunItem.state == State.FAILED,
                Instance.removed_at.is_(None),
            )
            .order_by(TaskRunItem.instance_id)
        )
    )


def items_without_job(session: Session) -> list[Any]:
    """Return (item_id, run_id, instance_id, attempt, state) of items that no job will ever do."""
    return _rows(session, "items_without_job.sql", {})


def runs_without_job(session: Session, grace_seconds: float) -> list[Any]:
    """Return (run_id, cancel_requested) of unplanned runs that no job will ever plan."""
    return _rows(session, "runs_without_job.sql", {"seconds": grace_seconds})


def runs_to_close(session: Session) -> list[Any]:
    """Return (run_id, cancel_requested, and the counts) of active runs whose items all ended."""
    return _rows(session, "runs_to_close.sql", {})


def _rows(session: Session, file: str, parameters: dict[str, Any]) -> list[Any]:
    sql = load_sql("app.repositories.sql", file)
    return list(session.connection().exec_driver_sql(sql, parameters).all())


def _count(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount
