from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.model import Model, SmallId


class Credential(Model):
    """A login that instances share. The password is a MultiFernet token, never clear text."""

    __tablename__ = "credentials"

    id: Mapped[SmallId]
    name: Mapped[str] = mapped_column(unique=True)
    username: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    rotated_at: Mapped[datetime] = mapped_column(server_default=func.now())
