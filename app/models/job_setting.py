from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class JobSetting(Model):
    """What an operator changed about one scheduled job; absent means as the code has it."""

    __tablename__ = "job_settings"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    cron: Mapped[str | None]
    """Five fields, in the configured zone; NULL is the code's own schedule."""
    paused: Mapped[bool] = mapped_column(server_default=text("false"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str | None]
