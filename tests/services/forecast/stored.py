"""Objects with a history in the store, as collection and aggregation would leave it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from psycopg import Connection

from app.models import db

GIB = 2**30


def connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


def one(statement: str, *values: Any) -> Any:
    row = connection().execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]


def make_instance(name: str = "orders") -> int:
    credential_id = one(
        "INSERT INTO credentials (name, username, secret) VALUES (%s, 'u', 'x') RETURNING id", name
    )
    return int(
        one(
            "INSERT INTO instances (name, engine, host, port, credential_id)"
            " VALUES (%s, 'postgresql', 'h', 5432, %s) RETURNING id",
            name,
            credential_id,
        )
    )


def make_database(instance_id: int, name: str) -> int:
    return int(
        one(
            "INSERT INTO databases (instance_id, engine_key, name) VALUES (%s, %s, %s)"
            " RETURNING id",
            instance_id,
            name,
            name,
        )
    )


def make_storage(instance_id: int, name: str, kind: str, limit_bytes: int | None) -> int:
    storage_id = int(
        one(
            "INSERT INTO storages (instance_id, kind, engine_key, name, first_seen_at)"
            " VALUES (%s, %s, %s, %s, now()) RETURNING id",
            instance_id,
            kind,
            name,
            name,
        )
    )
    moment = datetime.now(UTC)
    connection().execute(
        "INSERT INTO storage_sizes (collected_at, used_bytes, limit_bytes, instance_id, storage_id)"
        " VALUES (%s, 1, %s, %s, %s)",
        (moment, limit_bytes, instance_id, storage_id),
    )
    connection().execute("UPDATE storages SET sized_at = %s WHERE id = %s", (moment, storage_id))
    return storage_id


def write_days(
    scope: str,
    instance_id: int,
    object_id: int,
    sizes: Iterable[float | None] | Sequence[float],
    last_day: date,
) -> None:
    """Write one row a day up to the last one; None: not sized on that day, NaN: no row."""
    every = list(sizes)
    rows = [
        (last_day - timedelta(days=len(every) - 1 - n), None if size is None else int(size))
        for n, size in enumerate(every)
        if size is None or not np.isnan(size)
    ]
    with (
        connection().cursor() as cursor,
        cursor.copy(
            "COPY capacity_rollups (period, scope, instance_id, object_id, start_on, seen,"
            " expected, estimated, last_bytes) FROM STDIN"
        ) as copy,
    ):
        for day, size in rows:
            seen = int(size is not None)
            copy.write_row(("day", scope, instance_id, object_id, day, seen, 1, 0, size))


def growing(days: int, start: float = 100, a_day: float = 1) -> list[float]:
    """GiB at the start and a day, in bytes."""
    return [(start + a_day * n) * GIB for n in range(days)]
