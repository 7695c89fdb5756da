"""What people ask about sizes: the biggest, one instance, and what is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import select

from app.models import Instance, db
from app.repositories import capacity_views
from app.utils.refusal import NotFound


@dataclass(frozen=True)
class UnsizedRow:
    """Something whose size is unknown: not zero, and not gone."""

    instance: str
    database: str | None
    name: str
    kind: str
    """instance, database, tablespace, volume, relations (all of one database), or the relation's
    own kind."""
    reason_code: str
    reason: str
    remedy: str | None
    """What to do about it: a sentence, or SQL to paste."""
    since: datetime
    """Since when without a break."""
    observed_at: datetime


@dataclass(frozen=True)
class UnsizedList:
    """What is unknown, and whether there is more of it than was asked for."""

    rows: list[UnsizedRow]
    more: bool


class CapacityService:
    """Answers from the ledger; never asks a server."""

    def unsized(self, *, instance: str | None = None, limit: int | None = 100) -> UnsizedList:
        """Return everything whose size is unknown as of the last collection, and why.

        Raises:
            NotFound: There is no such instance.

        """
        wanted = instance_named(instance).id if instance is not None else None
        rows = capacity_views.unsized(_connection(), wanted, None if limit is None else limit + 1)
        shown = rows[:limit]
        return UnsizedList([UnsizedRow(**row._asdict()) for row in shown], len(rows) > len(shown))


def instance_named(name: str) -> Instance:
    """Return a registered instance.

    Raises:
        NotFound: There is no such instance.

    """
    found = db.session.scalar(
        select(Instance).where(Instance.name == name, Instance.removed_at.is_(None))
    )
    if found is None:
        raise NotFound(
            f"there is no instance named {name}", "whalefall instance list shows them all."
        )
    return found


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


capacity_service = CapacityService()
