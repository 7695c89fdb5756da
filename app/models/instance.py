from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.credential import Credential
from app.models.model import Model, SmallId


class Instance(Model):
    """One database server that we look after.

    Removing an instance sets ``removed_at`` and lets go of its credential: its ledger stays
    readable, its name is free again, and the password can be removed.
    """

    __tablename__ = "instances"
    __table_args__ = (
        Index(
            "uq_instances_name", "name", unique=True, postgresql_where=text("removed_at IS NULL")
        ),
        Index("ix_instances_tags", "tags", postgresql_using="gin"),
        Index("ix_instances_credential_id", "credential_id"),
        CheckConstraint(
            "removed_at IS NOT NULL OR credential_id IS NOT NULL", name="credential_unless_removed"
        ),
    )

    id: Mapped[SmallId]
    name: Mapped[str]
    engine: Mapped[str]
    host: Mapped[str]
    """Host name, address, or the path of a Unix socket (PostgreSQL: its directory)."""
    port: Mapped[int]
    database: Mapped[str | None]
    """Where to log in first; the engine's usual one if NULL."""
    tls_mode: Mapped[str] = mapped_column(server_default="verify-full")
    tls_ca: Mapped[str | None]
    """PEM of the authority to trust; the system's authorities if NULL."""
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    credential_id: Mapped[int | None] = mapped_column(ForeignKey("credentials.id"))
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]
    server_version: Mapped[str | None]
    """As of the last successful read, in the engine's own words."""
    rights: Mapped[dict[str, Any] | None]
    """What our own account could see at the last read: right -> true or false."""

    credential: Mapped[Credential | None] = relationship(lazy="joined")
