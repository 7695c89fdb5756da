"""Transactions that only the newest attempt at an item gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg import Connection

from app.constants.runs import State
from app.models import db
from app.repositories.partitions import ensure_partition
from app.services.task_runs.errors import Fenced
from app.services.task_runs.items import ItemContext


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
    db.session.rollback()
    connection: Connection[Any] = db.session.connection().connection.driver_connection  # type: ignore[assignment]
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
    db.session.commit()
