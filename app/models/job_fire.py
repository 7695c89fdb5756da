from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class JobFire(Model):
    """A scheduled moment of a job, recorded once however many clocks there are."""

    __tablename__ = "job_fires"
    __table_args__ = (
        Index("ix_job_fires_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    outcome: Mapped[str]
    """started, or skipped because a run of the task was still active."""
    run_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("task_runs.id", ondelete="SET NULL")
    )
