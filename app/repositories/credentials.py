"""Questions about stored logins."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Credential, Instance


def find(session: Session, name: str, *, lock: bool = False) -> Credential | None:
    """Return the credential of that name."""
    query = select(Credential).where(Credential.name == name)
    return session.scalar(query.with_for_update() if lock else query)


def ids_by_name(session: Session) -> dict[str, int]:
    """Return every credential's id by its name."""
    return {row.name: row.id for row in session.execute(select(Credential.name, Credential.id))}


def with_use(session: Session) -> list[tuple[Credential, int]]:
    """Return every credential and how many instances log in with it, by name."""
    query = (
        select(Credential, func.count(Instance.id))
        .outerjoin(
            Instance,
            (Instance.credential_id == Credential.id) & Instance.removed_at.is_(None),
        )
        .group_by(Credential.id)
        .order_by(Credential.name)
    )
    return [(credential, used) for credential, used in session.execute(query)]


def names_of_users(session: Session, credential_id: int) -> list[str]:
    """Return the names of the instances that log in with a credential."""
    query = (
        select(Instance.name).where(Instance.credential_id == credential_id).order_by(Instance.name)
    )
    return list(session.scalars(query))
