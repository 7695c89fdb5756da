from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import BigId, Model


class TaskRunItem(Model):
    """One target of one run."""

    __tablename__ = "task_run_items"
    __table_args__ = (
        Index("uq_task_run_items_target", "run_id", "instance_id", unique=True),
        Index("ix_task_run_items_instance", "instance_id", "id"),
        Index(
            "ix_task_run_items_active",
            "run_id",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
    )

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("task_runs.id", ondelete="CASCADE"))
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    state: Mapped[str] = mapped_column(server_default="queued")
    """queued, running, succeeded, partial, failed or cancelled."""
    attempt: Mapped[int] = mapped_column(server_default="0")
    """Fence: a write made for an older attempt is refused."""
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    """Of the queue; it may be gone, the item is the truth."""
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    """A word of ``app.constants.reading.FailureKind``, to group by."""
    error: Mapped[str | None]
    coverage: Mapped[dict[str, Any] | None]
    """{"full": n, "partial": n, "denied": n, "skipped": n, "failed": n} scopes."""
    receipt: Mapped[dict[str, Any] | None]
    """{"queries": n, "rows": n, "bytes": n, "ms": n} asked of the target, plus what the task
    counts."""
