from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model


class AccountChange(Model):
    """One thing that changed on one instance. Partitioned by month of ``occurred_at``."""

    __tablename__ = "account_changes"
    __table_args__ = (
        Index("ix_account_changes_instance", "instance_id", "occurred_at"),
        Index("ix_account_changes_account", "account_id", "occurred_at"),
        Index(
            "ix_account_changes_raised",
            "occurred_at",
            postgresql_where=text("raised"),
        ),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    """When the sync saw it: it happened between the previous full sight of the scope and then."""
    run_item_id: Mapped[int | None] = mapped_column(BigInteger)
    instance_id: Mapped[int]
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    account_name: Mapped[str | None]
    database_id: Mapped[int | None]
    database_name: Mapped[str | None]
    kind: Mapped[str]
    """One of ``app.constants.accounts.ChangeKind``."""
    raised: Mapped[bool]
    """Whether somebody may do something afterwards that he could not before."""
    diff: Mapped[dict[str, Any]]
    """As ``app.services.accounts_sync.differences`` describes it."""
