"""Who may encrypt while the key changes."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

ROTATION = 0x57484B52  # "WHKR": one rotation at a time
WRITING = 0x57484B57  # "WHKW": shared by those who store a password


def begin_rotation(connection: Connection) -> None:
    """Wait until no other rotation runs; held until ``end_rotation`` or the end of the session."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ROTATION})


def end_rotation(connection: Connection) -> None:
    """Let the next rotation begin."""
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ROTATION})


def keep_writers_out(connection: Connection) -> None:
    """Wait for those who store a password now; others wait until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITING})


def hold_keys(session: Session) -> None:
    """Before encrypting a password: keep its key until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": WRITING})
