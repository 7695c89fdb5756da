from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model, SmallId


class HeldRemoval(Model):
    """Accounts that vanished all at once: kept until a person confirms the removal."""

    __tablename__ = "held_removals"
    __table_args__ = (
        Index(
            "uq_held_removals_open",
            "instance_id",
            unique=True,
            postgresql_where=text("state = 'held'"),
        ),
    )

    id: Mapped[SmallId]
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    held_at: Mapped[datetime]
    """When they were first missed: the removal counts from then if it is confirmed."""
    account_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    accounts_before: Mapped[int]
    state: Mapped[str]
    """held, confirmed or returned (a later sync saw them again)."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
