from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class JobSetting(Model):
    """One scheduled job: what the code says of it, and over that what an operator changed.

    The code's part is written by whoever starts with that code, so that any process can show the
    schedule; the operator's part is never touched by it.
    """

    __tablename__ = "job_settings"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str]
    """The task's function name."""
    name: Mapped[str]
    code_cron: Mapped[str]
    """The code's schedule, five fields (six with leading seconds), weekdays by name."""
    cron: Mapped[str | None]
    """Five fields, in the configured zone; NULL is the code's own schedule."""
    paused: Mapped[bool] = mapped_column(server_default=text("false"))
    effective_since: Mapped[datetime] = mapped_column(server_default=func.now())
    """Since when the job is known, resumed, or has its present schedule: a fire due before this
    moment was nobody's duty and is never caught up."""
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str | None]
