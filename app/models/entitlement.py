from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import BigId, Model


class Entitlement(Model):
    """What one account held in one scope during ``[valid_from, valid_to)``.

    The scope is the server (``database_id`` NULL) or one database. ``facts`` is lossless: the
    engine's GRANT statements can be rebuilt from it. Its shape is that of
    ``app.repositories.remote.facts``.
    """

    __tablename__ = "entitlements"
    __table_args__ = (
        Index(
            "uq_entitlements_open",
            "account_id",
            "database_id",
            unique=True,
            postgresql_where=text("valid_to IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "ix_entitlements_closed",
            "account_id",
            "valid_to",
            postgresql_where=text("valid_to IS NOT NULL"),
        ),
        Index(
            "ix_entitlements_scope",
            "instance_id",
            "database_id",
            postgresql_where=text("valid_to IS NULL"),
        ),
    )

    id: Mapped[BigId]
    instance_id: Mapped[int]
    """That of the account, repeated so that a scope's rows are found without a join."""
    account_id: Mapped[int] = mapped_column(BigInteger)
    """Of ``accounts``, whose rows are never deleted; a foreign key would cost a tenth of a sync."""
    database_id: Mapped[int | None]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    facts: Mapped[dict[str, Any]]
