"""Runs of tasks: asking for one, spreading it over instances, cancelling, retrying, looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from flask import Flask, current_app
from sqlalchemy.orm import Session

from app.constants.runs import State, Trigger
from app.models import TaskRun, db
from app.repositories import queue, task_runs
from app.services.task_runs import items as run_items
from app.services.task_runs.closing import close_run_if_complete
from app.services.task_runs.direct import run_here
from app.services.task_runs.errors import NothingToRetry, RunActive, RunEnded, UnknownRun
from app.services.task_runs.items import ItemContext, ItemOutcome, Work
from app.services.task_runs.planning import plan_items, wait_for_end
from app.services.task_runs.summaries import ItemSummary, RequestedRun, RunSummary
from app.utils.run_context import bound_run


class TaskRunsService:
    """What can be done with runs; every method needs an application context."""

    def request(
        self,
        task: str,
        *,
        trigger: Trigger,
        requested_by: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> RequestedRun:
        """Ask for a run of a task; answered with the active one if there is one. Commits."""
        requested = self.request_within(
            db.session, task, trigger=trigger, requested_by=requested_by, parameters=parameters
        )
        db.session.commit()
        return requested

    def request_within(
        self,
        session: Session,
        task: str,
        *,
        trigger: Trigger,
        requested_by: str | None = None,
        parameters: dict[str, Any] | None = None,
        retry_of_id: int | None = None,
    ) -> RequestedRun:
        """Ask for a run in the caller's transaction: its row and its job appear together."""
        for _ in range(5):
            run_id = task_runs.insert_if_idle(
                session,
                task=task,
                trigger=trigger,
                requested_by=requested_by,
                parameters=parameters or {},
                retry_of_id=retry_of_id,
            )
            if run_id is not None:
                queue.defer_run(session, run_id)
                return RequestedRun(run_id, created=True)
            active = task_runs.active_id(session, task)
            if active is not None:
                return RequestedRun(active, created=False)
        raise RunActive(f"runs of {task} begin and end faster than one can be asked for")

    def fan_out(self, task: str, instance_ids: Sequence[int], work: Work) -> dict[str, Any]:
        """Spread the run of this thread over instances and wait for its end.

        Returns {"run_id", "success_count", "partial_count", "failed_count", "cancelled_count"}.
        Nothing depends on the waiting: the last item to end closes the run. Called again for the
        same run, it only waits. Without a run (somebody called the task function directly) it
        makes one and does the work in threads of this process.
        """
        run = bound_run()
        if run is None:
            flask_app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
            run_id = run_here(flask_app, task, instance_ids, work)
            return _as_result(wait_for_end(run_id))
        plan_items(run.run_id, instance_ids)
        db.session.commit()
        return _as_result(wait_for_end(run.run_id, stop=run.stop))

    def close_item(self, session: Session, item: ItemContext, outcome: ItemOutcome) -> None:
        """End an item in the caller's transaction, as ``items.close_item`` says."""
        run_items.close_item(session, item, outcome)

    def cancel(self, run_id: int, *, by: str | None = None) -> RunSummary:
        """Cancel a run: what nobody has begun ends now, what runs ends at its next checkpoint."""
        planned = task_runs.request_cancel(db.session, run_id)
        if planned is None:
            db.session.rollback()
            summary = self.get_run(run_id)
            raise RunEnded(f"run {run_id} has ended already: {summary.state}")
        if planned:
            reason = f"cancelled by {by}" if by else "cancelled"
            jobs = task_runs.cancel_queued_items(db.session, run_id, reason)
            queue.cancel_waiting(db.session, [job for job in jobs if job is not None])
            close_run_if_complete(db.session, run_id, {State.CANCELLED: len(jobs)})
        else:
            # one whose function is being called right now finds out when it wants to plan
            task_runs.end_run(
                db.session,
                run_id,
                state=State.CANCELLED,
                error=f"cancelled by {by}" if by else None,
            )
        db.session.commit()
        return self.get_run(run_id)

    def retry_failed(self, run_id: int, *, by: str | None = None) -> RequestedRun:
        """Ask for a new run over the instances that failed in this one.

        Cancelled ones are not among them (a person did not want them), nor are partial ones: the
        same account would be denied the same things again.
        """
        run = self.get_run(run_id)
        if run.ended_at is None:
            raise RunActive(f"run {run_id} has not ended yet", "Wait for it, or cancel it.")
        instance_ids = task_runs.failed_instances(db.session, run_id)
        if not instance_ids:
            raise NothingToRetry(f"no instance failed in run {run_id}")
        requested = self.request_within(
            db.session,
            run.task,
            trigger=Trigger.RETRY,
            requested_by=by,
            parameters=run.parameters | {"instance_ids": instance_ids},
            retry_of_id=run_id,
        )
        db.session.commit()
        return requested

    def wait(self, run_id: int, *, timeout_seconds: float | None = None) -> RunSummary:
        """Return the run when it has ended, or as it is after the time-out."""
        return RunSummary.of(wait_for_end(run_id, timeout_seconds=timeout_seconds))

    def list_runs(
        self,
        *,
        task: str | None = None,
        states: Sequence[State] = (),
        limit: int = 20,
        before_id: int | None = None,
    ) -> list[RunSummary]:
        """Return runs, newest first."""
        runs = task_runs.newest(
            db.session, task=task, states=states, limit=limit, before_id=before_id
        )
        return [RunSummary.of(run) for run in runs]

    def get_run(self, run_id: int) -> RunSummary:
        """Return one run; raises UnknownRun."""
        run = task_runs.find(db.session, run_id)
        if run is None:
            raise UnknownRun(f"there is no run {run_id}", "whalefall runs list shows them.")
        return RunSummary.of(run)

    def list_items(self, run_id: int, *, states: Sequence[State] = ()) -> list[ItemSummary]:
        """Return the targets of a run, by name of the instance."""
        return [
            ItemSummary.of(item, name)
            for item, name in task_runs.items_of(db.session, run_id, states)
        ]


def _as_result(run: TaskRun) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "success_count": run.succeeded_count,
        "partial_count": run.partial_count,
        "failed_count": run.failed_count,
        "cancelled_count": run.cancelled_count,
    }


task_runs_service = TaskRunsService()
