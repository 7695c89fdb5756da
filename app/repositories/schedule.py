"""The schedule as the store knows it, and the moments at which it was acted on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.models import JobFire, JobSetting
from app.utils.sql_files import load_sql


def announce(session: Session, jobs: Sequence[dict[str, str]]) -> None:
    """Write what the code says of its jobs: job_id, task, name, code_cron; operators' part stays.

    A schedule that changed with the code counts from now on, unless an operator's is in effect.
    """
    if not jobs:
        return
    statement = upsert(JobSetting).values(list(jobs))
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[JobSetting.job_id],
            set_={
                "task": new.task,
                "name": new.name,
                "code_cron": new.code_cron,
                "effective_since": case(
                    (
                        (JobSetting.code_cron != new.code_cron) & JobSetting.cron.is_(None),
                        func.now(),
                    ),
                    else_=JobSetting.effective_since,
                ),
            },
            where=or_(
                JobSetting.task != new.task,
                JobSetting.name != new.name,
                JobSetting.code_cron != new.code_cron,
            ),
        )
    )


def retire_all_but(session: Session, job_ids: Sequence[str]) -> None:
    """Forget jobs that the code no longer has; what they fired stays."""
    session.execute(delete(JobSetting).where(JobSetting.job_id.not_in(job_ids)))


def jobs_and_last_fires(session: Session) -> list[Any]:
    """Return every job with its setting and its last recorded fire, by id."""
    sql = load_sql("app.repositories.sql", "jobs_and_last_fires.sql")
    return list(session.connection().exec_driver_sql(sql).all())


def change(session: Session, job_id: str, *, by: str | None, reset: bool, **values: Any) -> bool:
    """Write an operator's change; whether there is such a job. ``reset``: it counts from now on."""
    changed = update(JobSetting).where(JobSetting.job_id == job_id)
    if reset:
        values["effective_since"] = func.clock_timestamp()
    return (
        session.execute(
            changed.values(**values, updated_at=func.clock_timestamp(), updated_by=by).returning(
                JobSetting.job_id
            )
        ).one_or_none()
        is not None
    )


def find(session: Session, job_id: str) -> Row[str | None, bool] | None:
    """Return (cron, paused) of a job and lock it."""
    return session.execute(
        select(JobSetting.cron, JobSetting.paused)
        .where(JobSetting.job_id == job_id)
        .with_for_update()
    ).one_or_none()


def record_fire(session: Session, job_id: str, scheduled_at: datetime, outcome: str) -> bool:
    """Record that a job was fired for a moment; whether nobody had done so before."""
    return (
        session.execute(
            upsert(JobFire)
            .values(job_id=job_id, scheduled_at=scheduled_at, outcome=outcome)
            .on_conflict_do_nothing()
            .returning(JobFire.job_id)
        ).one_or_none()
        is not None
    )


def set_outcome(
    session: Session, job_id: str, scheduled_at: datetime, outcome: str, run_id: int
) -> None:
    """Complete a recorded fire with what came of it."""
    session.execute(
        update(JobFire)
        .where(JobFire.job_id == job_id, JobFire.scheduled_at == scheduled_at)
        .values(outcome=outcome, run_id=run_id)
    )
