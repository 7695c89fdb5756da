"""Transactions on the store with psycopg itself, and those that only the newest attempt gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from sqlalchemy.exc import OperationalError

from app.constants.runs import State
from app.models import db
from app.repositories.partitions import ensure_partition
from app.services.task_runs.errors import Fenced
from app.services.task_runs.items import ItemContext


@contextmanager
def store_transaction() -> Iterator[Connection[Any]]:
    """Begin a transaction, yield the psycopg connection beneath the session, and commit it.

    Raises:
        OperationalError: That of SQLAlchemy, also if psycopg was asked directly: the store went
            away, or chose us as a deadlock's victim. The connection is not used again.

    """
    db.session.rollback()
    try:
        yield db.session.connection().connection.driver_connection  # type: ignore[misc] # psycopg's own
        db.session.commit()
    except (psycopg.OperationalError, psycopg.InterfaceError) as lost:
        db.session.invalidate()
        raise OperationalError(None, None, lost) from lost


@contextmanager
def fenced_transaction(
    item: ItemContext, *tables: str
) -> Iterator[tuple[Connection[Any], datetime]]:
    """Begin a transaction that only the newest attempt gets, and commit it.

    The named tables have their partitions of this moment.

    Yields:
        The psycopg connection beneath the session, and the store's own time: moments of the
        ledger come from one clock, however many machines write.

    Raises:
        Fenced: A newer attempt has taken over, or the item has ended.

    """
    with store_transaction() as connection:
        row = connection.execute(
            "SELECT attempt, state, clock_timestamp() FROM task_run_items WHERE id = %s FOR UPDATE",
            (item.item_id,),
        ).fetchone()
        if row is None or row[0] != item.attempt or row[1] != State.RUNNING:
            raise Fenced(f"item {item.item_id} is no longer that of attempt {item.attempt}")
        moment: datetime = row[2]
        for table in tables:
            ensure_partition(db.session.connection(), table, moment)
        yield connection, moment
