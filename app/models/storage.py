from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model, SmallId


class Storage(Model):
    """One tablespace or volume of an instance; closed when gone, never deleted."""

    __tablename__ = "storages"
    __table_args__ = (
        Index(
            "uq_storages_open",
            "instance_id",
            "kind",
            "engine_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[SmallId]
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    kind: Mapped[str]
    """A word of ``app.constants.capacity.StorageKind``."""
    engine_key: Mapped[str]
    name: Mapped[str]
    first_seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    sized_at: Mapped[datetime | None]
    """``collected_at`` of its last row in ``storage_sizes``; NULL: it has none."""
