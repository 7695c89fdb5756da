from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model, SmallId


class Database(Model):
    """One database of an instance, from first sight until it is gone; closed, never deleted.

    Dropped and created again under one name is two databases where the engine has an id.
    """

    __tablename__ = "databases"
    __table_args__ = (
        Index(
            "uq_databases_open",
            "instance_id",
            "engine_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[SmallId]
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    engine_key: Mapped[str]
    """PostgreSQL: its oid; elsewhere its name."""
    name: Mapped[str]
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]
    sized_at: Mapped[datetime | None]
    """``collected_at`` of its last row in ``database_sizes``; NULL: it has none."""
    relations_at: Mapped[datetime | None]
    """The same of its last rows in ``relation_sizes``."""
