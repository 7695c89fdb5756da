from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from app.models.model import BigId, Model


class UnsizedObject(Model):
    """What could not be sized at the last collection, and why: an unknown, not a zero."""

    __tablename__ = "unsized_objects"
    __table_args__ = (
        Index(
            "uq_unsized_objects",
            "instance_id",
            "database_id",
            "relation_id",
            "kind",
            "name",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[BigId]
    instance_id: Mapped[int]
    database_id: Mapped[int | None]
    """NULL: the instance itself, or one of its storages."""
    relation_id: Mapped[int | None]
    """NULL: the database itself."""
    name: Mapped[str]
    kind: Mapped[str]
    """instance, database, tablespace, volume, relations (all of one database), or the relation's
    own kind."""
    reason_code: Mapped[str]
    """A word of ``app.constants.reading.FailureKind``."""
    reason: Mapped[str]
    remedy: Mapped[str | None]
    since: Mapped[datetime]
    """Since when it could not be sized without a break."""
    observed_at: Mapped[datetime]
