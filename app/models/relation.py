from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from app.models.model import Model, SmallId


class Relation(Model):
    """One table, or whatever else takes room of its own; closed when gone, never deleted.

    Dropped and created again under one name is two relations where the engine has an id.
    """

    __tablename__ = "relations"
    __table_args__ = (
        Index(
            "uq_relations_open",
            "database_id",
            "engine_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(
            "ix_relations_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")
        ),
    )

    id: Mapped[SmallId]
    database_id: Mapped[int]
    engine_key: Mapped[str]
    """PostgreSQL: its oid; elsewhere its name."""
    schema_name: Mapped[str | None]
    name: Mapped[str]
    kind: Mapped[str]
    """A word of ``app.constants.capacity.RelationKind``."""
    parent_id: Mapped[int | None]
    """The partitioned table that it is a part of, at any depth: the topmost one."""
    first_seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
