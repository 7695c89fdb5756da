"""Short transactions that wait shortly for locks, and try again after growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.models import db
from app.repositories.partition_catalog import ask
from app.repositories.partition_drops import SomebodyWaits
from app.repositories.partitions import NameTaken, Patience

T = TypeVar("T")

LOCKED = {"55P03", "40P01", "40001"}
"""lock_not_available, deadlock_detected, serialization_failure: another time it may work."""
SHORT = Patience(first_ms=500, further_ms=250, pauses_seconds=())
"""For looking: what cannot be seen now is said to be unknown."""


class Failed(Exception):  # noqa: N818 - how a step ended
    """One step did not work; the message says why."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless
        """Whether the next step on the same table would fare no better: a lock, or no store."""


def patiently(table: str, patience: Patience, work: Callable[[Connection], T]) -> T:
    """Return what a short transaction returns; it is tried again when a lock is in its way.

    Raises:
        Failed: with the reason.

    """
    pauses = list(patience.pauses_seconds)
    while True:
        try:
            with db.engine.begin() as connection:
                return work(connection)
        except (DBAPIError, SomebodyWaits, NameTaken) as error:
            locked = is_lock_trouble(error)
            if not locked or not pauses:
                lost = isinstance(error, DBAPIError) and error.connection_invalidated
                raise Failed(told_of(error, table), hopeless=locked or lost) from error
        time.sleep(pauses.pop(0))


def is_lock_trouble(error: Exception) -> bool:
    """Tell whether somebody held a lock that we needed."""
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in LOCKED
    return isinstance(error, SomebodyWaits)


def reason_of(error: Exception) -> str:
    """Return what an error says, in a line."""
    if is_lock_trouble(error) and not isinstance(error, SomebodyWaits):
        return "somebody holds a lock."
    told = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(told.split())


def told_of(error: Exception, table: str) -> str:
    """Return what an error says, and who holds the lock if it is one."""
    if not is_lock_trouble(error):
        return reason_of(error)
    return f"{reason_of(error)} {_holders(table)}".strip()


def _holders(table: str) -> str:
    """Return who has locked a table, as far as the store tells."""
    try:
        with db.engine.begin() as connection:
            rows = ask(connection, "lock_holders.sql", {"table_name": table})
    except DBAPIError as error:
        return f"Who it is cannot be seen: {reason_of(error)}"
    told = [
        f"process {row['pid']} ({row['application_name']}, in a transaction since "
        f"{_clock(row['since'])})"
        for row in rows
    ]
    return f"Locks on it: {', '.join(told)}." if told else ""


def _clock(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else "a time that we may not see"
