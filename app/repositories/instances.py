"""Questions about the servers that we look after."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Account, Instance


def find(session: Session, name: str, *, lock: bool = False) -> Instance | None:
    """Return the instance of that name, unless it was removed."""
    query = select(Instance).where(Instance.name == name, Instance.removed_at.is_(None))
    return session.scalar(query.with_for_update(of=Instance) if lock else query)


def search(
    session: Session,
    *,
    tags: Sequence[str] = (),
    engine: str | None = None,
    enabled: bool | None = None,
    removed: bool = False,
) -> list[Instance]:
    """Return instances by name; they carry every one of ``tags``."""
    query = select(Instance).order_by(Instance.name, Instance.id)
    query = query.where(
        Instance.removed_at.is_not(None) if removed else Instance.removed_at.is_(None)
    )
    if tags:
        query = query.where(Instance.tags.contains(list(tags)))
    if engine is not None:
        query = query.where(Instance.engine == engine)
    if enabled is not None:
        query = query.where(Instance.enabled.is_(enabled))
    return list(session.scalars(query))


def by_names(session: Session, names: Collection[str]) -> dict[str, Instance]:
    """Return those of the named instances that exist and were not removed."""
    query = select(Instance).where(Instance.name.in_(names), Instance.removed_at.is_(None))
    return {instance.name: instance for instance in session.scalars(query)}


def ids_to_read(session: Session, among: Collection[int] | None = None) -> list[int]:
    """Return the ids of the instances that take part in runs; ``among`` None: of all of them."""
    query = select(Instance.id).where(Instance.enabled, Instance.removed_at.is_(None))
    if among is not None:
        query = query.where(Instance.id.in_(among))
    return list(session.scalars(query.order_by(Instance.id)))


def ids_ever_named(session: Session, name: str) -> list[int]:
    """Return the ids of the instances of that name, those that were removed, too."""
    return list(session.scalars(select(Instance.id).where(Instance.name == name)))


def open_account_count(session: Session, instance_id: int) -> int:
    """Return how many accounts the ledger holds as existing on an instance."""
    query = select(func.count()).where(
        Account.instance_id == instance_id, Account.removed_at.is_(None)
    )
    return session.scalar(query) or 0
