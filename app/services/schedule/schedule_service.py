"""The schedule: what is due when, what operators changed, and what came of each fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.config import current_settings
from app.constants.runs import Trigger
from app.models import db
from app.repositories import schedule
from app.services.schedule.cron import (
    BadCron,
    checked_cron,
    latest_fire,
    next_fire,
    trigger_of,
)
from app.services.task_runs.task_runs_service import task_runs_service
from app.utils.refusal import NotFound
from app.utils.structlog_config import get_system_logger

LATE_SECONDS = 60.0
"""A fire later than this is called a catch-up."""

logger = get_system_logger()


class UnknownJob(NotFound):
    """No job of the schedule has this id."""


@dataclass(frozen=True)
class ScheduledJob:
    """A job as the code has it."""

    job_id: str
    task: str
    name: str
    code_cron: str


@dataclass(frozen=True)
class JobSummary:
    """A job as it is in effect."""

    job_id: str
    name: str
    task: str
    cron: str
    """In effect, in the configured zone."""
    code_cron: str
    overridden: bool
    paused: bool
    effective_since: datetime
    next_fire_at: datetime | None
    """None while paused."""
    last_fire_at: datetime | None
    last_outcome: str | None
    """started, or skipped because a run of the task was still active."""
    last_run_id: int | None
    updated_by: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


class ScheduleService:
    """What can be done with the schedule; every method needs an application context."""

    def announce(self, jobs: Sequence[ScheduledJob], *, forget_others: bool = False) -> None:
        """Tell the store the code's schedule, so that any process can show and change it.

        ``forget_others`` is for the clock alone: with it, jobs that the code no longer has go.
        """
        schedule.announce(db.session, [asdict(job) for job in jobs])
        if forget_others:
            schedule.retire_all_but(db.session, [job.job_id for job in jobs])
        db.session.commit()

    def list_jobs(self) -> list[JobSummary]:
        """Return every job, by id."""
        now = datetime.now(UTC)
        rows = schedule.jobs_and_last_fires(db.session)
        db.session.rollback()
        return [_summary(row, now) for row in rows]

    def pause(self, job_id: str, *, by: str | None = None) -> JobSummary:
        """Fire a job no more until it is resumed."""
        return self._change(job_id, by=by, paused=True)

    def resume(self, job_id: str, *, by: str | None = None) -> JobSummary:
        """Fire a job again; what was due meanwhile is not caught up."""
        return self._change(job_id, by=by, paused=False)

    def set_cron(self, job_id: str, cron: str | None, *, by: str | None = None) -> JobSummary:
        """Put five fields in the place of the code's schedule; None: the code's again.

        Raises BadCron. The present moment is where the new schedule begins.
        """
        plain = None if cron is None else checked_cron(cron, current_settings().zone)
        return self._change(job_id, by=by, cron=plain)

    def fire(self, job_id: str, task: str, scheduled_at: datetime, trigger: Trigger) -> int | None:
        """Record a fire, its run and the run's job, in one transaction; return the run's id.

        None if the moment has been recorded already: then nothing happens. While a run of the
        task is active the fire is recorded as skipped, with that run.
        """
        session = db.session
        if not schedule.record_fire(session, job_id, scheduled_at, "started"):
            session.rollback()
            return None
        requested = task_runs_service.request_within(
            session, task, trigger=trigger, requested_by=job_id
        )
        outcome = "started" if requested.created else "skipped"
        schedule.set_outcome(session, job_id, scheduled_at, outcome, requested.run_id)
        session.commit()
        logger.info(
            "Job fired",
            module="scheduler",
            job_id=job_id,
            scheduled_at=scheduled_at.isoformat(),
            trigger=trigger,
            outcome=outcome,
            run_id=requested.run_id,
        )
        return requested.run_id

    def catch_up(self, *, until: datetime) -> list[int]:
        """Fire once each job whose latest due moment passed unrecorded; return the runs.

        Looks back as far as the grace time, and never to before the job was known, resumed or
        changed.
        """
        settings = current_settings()
        oldest = datetime.now(UTC) - timedelta(hours=settings.catch_up_grace_hours)
        rows = schedule.jobs_and_last_fires(db.session)
        db.session.rollback()
        runs = []
        for row in rows:
            if row.paused:
                continue
            since = max(oldest, row.effective_since, row.last_fire_at or oldest)
            trigger = trigger_of(row.cron or row.code_cron, settings.zone)
            due = latest_fire(trigger, not_before=since, until=until)
            if due is None or (row.last_fire_at is not None and due <= row.last_fire_at):
                continue
            run_id = self.fire(row.job_id, row.task, due, Trigger.CATCH_UP)
            if run_id is not None:
                runs.append(run_id)
        return runs

    def _change(self, job_id: str, *, by: str | None, **values: Any) -> JobSummary:
        before = schedule.find(db.session, job_id)
        if before is None:
            db.session.rollback()
            known = ", ".join(job.job_id for job in self.list_jobs()) or "none yet"
            raise UnknownJob(f"there is no job {job_id}", f"The jobs are: {known}.")
        # resuming a job that is not paused must not make it forget what it missed
        reset = any(getattr(before, name) != value for name, value in values.items())
        schedule.change(db.session, job_id, by=by, reset=reset, **values)
        db.session.commit()
        return next(job for job in self.list_jobs() if job.job_id == job_id)


def _summary(row: Any, now: datetime) -> JobSummary:
    cron = row.cron or row.code_cron
    zone = current_settings().zone
    due: datetime | None = None
    if not row.paused:
        try:
            due = next_fire(trigger_of(cron, zone), now)
        except BadCron:
            logger.exception(
                "A job has a schedule that is none", module="scheduler", job_id=row.job_id
            )
    return JobSummary(
        job_id=row.job_id,
        name=row.name,
        task=row.task,
        cron=cron,
        code_cron=row.code_cron,
        overridden=row.cron is not None,
        paused=row.paused,
        effective_since=row.effective_since,
        next_fire_at=due,
        last_fire_at=row.last_fire_at,
        last_outcome=row.last_outcome,
        last_run_id=row.last_run_id,
        updated_by=row.updated_by,
    )


schedule_service = ScheduleService()
