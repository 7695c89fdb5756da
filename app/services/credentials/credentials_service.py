"""Credentials: logins that instances share, their passwords encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError

from app.models import Credential, db
from app.repositories import credential_keys, credentials
from app.services.instances.validation import check_name
from app.utils.refusal import NotFound, Refused
from app.utils.secrets import encrypt

_SHOWN_USERS = 5


@dataclass(frozen=True)
class CredentialRow:
    """One credential as lists show it; holds no secret."""

    name: str
    username: str
    instances: int
    """How many instances log in with it."""
    created_at: datetime
    rotated_at: datetime


class CredentialsService:
    """Keeps logins; nothing that it answers, logs or raises holds a password."""

    def add(self, name: str, username: str, password: str) -> CredentialRow:
        """Store a login.

        Raises:
            Refused: The name is taken, or a value is not usable.

        """
        try:
            name = check_name(name)
        except ValueError as error:
            raise Refused(str(error)) from None
        if not username or "\x00" in username:
            raise Refused("the user name is empty", "Name the login: --username whalefall")
        credential = Credential(name=name, username=username, secret=_encrypted(password))
        db.session.add(credential)
        try:
            db.session.flush()
        except IntegrityError:
            db.session.rollback()
            raise Refused(
                f"a credential named {name} exists already",
                f"Choose another name, or change its password: whalefall credential rotate {name}",
            ) from None
        row = _row_of(credential, 0)
        db.session.commit()
        return row

    def list_credentials(self) -> list[CredentialRow]:
        """Return every credential by name."""
        return [_row_of(credential, used) for credential, used in credentials.with_use(db.session)]

    def rotate(self, name: str, password: str) -> CredentialRow:
        """Replace the password; the next run of every instance that shares it uses the new one.

        Raises:
            NotFound: There is no such credential.
            Refused: The password is not usable.

        """
        secret = _encrypted(password)
        credential = _get(name)
        credential.secret = secret
        credential.rotated_at = func.now()
        db.session.flush()
        used = len(credentials.names_of_users(db.session, credential.id))
        row = _row_of(credential, used)
        db.session.commit()
        return row

    def remove(self, name: str) -> None:
        """Forget a login that no instance uses.

        Raises:
            NotFound: There is no such credential.
            Refused: An instance logs in with it.

        """
        credential = _get(name)
        users = credentials.names_of_users(db.session, credential.id)
        if users:
            db.session.rollback()
            shown = ", ".join(users[:_SHOWN_USERS])
            more = f" and {len(users) - _SHOWN_USERS} more" if len(users) > _SHOWN_USERS else ""
            raise Refused(
                f"credential {name} is in use by {shown}{more}",
                f"Give them another one: whalefall instance edit {users[0]} --credential OTHER",
            )
        db.session.delete(credential)
        db.session.commit()


def _get(name: str) -> Credential:
    credential = credentials.find(db.session, name, lock=True)
    if credential is None:
        raise NotFound(
            f"there is no credential named {name}", "whalefall credential list shows them all."
        )
    return credential


def _encrypted(password: str) -> bytes:
    if not password:
        raise Refused("the password is empty", "Give the one that the server knows for this user.")
    if "\x00" in password:
        raise Refused("the password holds a NUL character", "Check where it comes from.")
    credential_keys.hold_keys(db.session)
    return encrypt(password)


def _row_of(credential: Credential, used: int) -> CredentialRow:
    return CredentialRow(
        credential.name, credential.username, used, credential.created_at, credential.rotated_at
    )


credentials_service = CredentialsService()
