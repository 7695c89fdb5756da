from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model, SmallId


class AccountScope(Model):
    """How far the ledger of accounts is to be trusted for one scope, now.

    ``full_digest`` is the digest of everything that the last full read returned: an equal one
    proves that nothing changed, without looking at a single account.
    """

    __tablename__ = "account_scopes"
    __table_args__ = (
        Index(
            "uq_account_scopes",
            "instance_id",
            "database_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[SmallId]
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    database_id: Mapped[int | None] = mapped_column(ForeignKey("databases.id"))
    status: Mapped[str]
    """full, partial, denied, skipped or failed: the outcome of the last attempt."""
    reason: Mapped[str | None]
    remedy: Mapped[str | None]
    """What to do about it, for example the GRANT to paste."""
    expected: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is skipped on every healthy server of the engine, so that nobody needs to act."""
    observed_at: Mapped[datetime]
    first_full_at: Mapped[datetime | None]
    """When the scope was first seen fully: what was held in it before is unknown, not nothing."""
    full_at: Mapped[datetime | None]
    """When the scope was last seen fully; NULL is never."""
    full_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
