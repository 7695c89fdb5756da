from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import BigId, Model


class TaskRun(Model):
    """One execution of a task. The four counters add up to ``item_count`` when it has ended."""

    __tablename__ = "task_runs"
    __table_args__ = (
        Index(
            "uq_task_runs_active",
            "task",
            unique=True,
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        Index("ix_task_runs_task", "task", "id"),
        Index(
            "ix_task_runs_retry_of_id",
            "retry_of_id",
            postgresql_where=text("retry_of_id IS NOT NULL"),
        ),
    )

    id: Mapped[BigId]
    task: Mapped[str]
    """The task's function name, for example ``sync_accounts``."""
    trigger: Mapped[str]
    """schedule, catch_up, manual, cli, api or retry."""
    requested_by: Mapped[str | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """Keyword arguments of the task function."""
    retry_of_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("task_runs.id"))
    state: Mapped[str] = mapped_column(server_default="queued")
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    planned_at: Mapped[datetime | None]
    """When its items were written; NULL until then, so that a re-run plans once."""
    item_count: Mapped[int] = mapped_column(server_default="0")
    succeeded_count: Mapped[int] = mapped_column(server_default="0")
    partial_count: Mapped[int] = mapped_column(server_default="0")
    failed_count: Mapped[int] = mapped_column(server_default="0")
    cancelled_count: Mapped[int] = mapped_column(server_default="0")
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
