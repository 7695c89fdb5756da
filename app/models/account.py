from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import BigId, Model


class Account(Model):
    """One identity on one instance, from first sight until it is gone.

    ``engine_key`` is what the engine itself knows it by (PostgreSQL: the oid, so that a rename
    keeps history and drop + create makes a new row; MySQL and MariaDB: ``'user'@'host'``).
    NULL in a fact column means "we could not see it", never "no".
    """

    __tablename__ = "accounts"
    __table_args__ = (
        Index(
            "uq_accounts_open",
            "instance_id",
            "engine_key",
            unique=True,
            postgresql_where=text("removed_at IS NULL"),
        ),
        Index("ix_accounts_name", "name", "id"),
        Index(
            "ix_accounts_privileged",
            "instance_id",
            "id",
            postgresql_where=text("privileged AND removed_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    engine_key: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    """user, role, system (the engine's own) or public (everybody)."""
    can_login: Mapped[bool | None]
    locked: Mapped[bool | None]
    expires_at: Mapped[str | None]
    """ISO 8601 in UTC, or 'never'; NULL is unknown."""
    privileged: Mapped[bool]
    privileged_because: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]
