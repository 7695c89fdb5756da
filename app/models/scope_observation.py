from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class ScopeObservation(Model):
    """What one run item could see of one scope. Partitioned by month of ``observed_at``."""

    __tablename__ = "scope_observations"
    __table_args__ = (
        Index("ix_scope_observations_item", "run_item_id"),
        Index("ix_scope_observations_instance", "instance_id", "observed_at"),
        {"postgresql_partition_by": "RANGE (observed_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    run_item_id: Mapped[int] = mapped_column(BigInteger)
    instance_id: Mapped[int]
    database_id: Mapped[int | None]
    scope: Mapped[str]
    """'server' or the database's name, as it was."""
    status: Mapped[str]
    reason: Mapped[str | None]
    remedy: Mapped[str | None]
    """What to do about it, for example the GRANT to paste."""
    changed: Mapped[int] = mapped_column(server_default="0")
    """Accounts whose entitlements in this scope changed."""
    duration_ms: Mapped[int]
