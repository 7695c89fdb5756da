"""Which periods have been computed, which are sealed, and which have to be computed (again)."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg import Connection

from app.constants.capacity import Period


def mark_dirty(
    connection: Connection[Any], period: Period, start_on: date, instance_id: int
) -> None:
    """Say that a period of an instance has to be computed; the last statement of who wrote rows.

    Marks are only inserted and deleted, so that nobody waits for anybody.
    """
    connection.execute(
        "INSERT INTO dirty_periods (period, start_on, instance_id) VALUES (%s, %s, %s)",
        (period, start_on, instance_id),
    )
