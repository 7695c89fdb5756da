"""What changed on the instances, and the removals that wait for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from app.constants.accounts import ChangeKind


@dataclass(frozen=True)
class Change:
    """One row of ``account_changes`` to be."""

    kind: ChangeKind
    raised: bool
    diff: dict[str, Any]
    account_id: int | None = None
    account_name: str | None = None
    database_id: int | None = None
    database_name: str | None = None


def record(
    connection: Connection[Any],
    run_item_id: int | None,
    instance_id: int,
    occurred_at: datetime,
    changes: Iterable[Change],
) -> None:
    """Write changes of one instance that were seen at one moment."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY account_changes (occurred_at, run_item_id, instance_id, account_id, account_name,"
            " database_id, database_name, kind, raised, diff) FROM STDIN"
        ) as copy,
    ):
        for change in changes:
            copy.write_row(
                (
                    occurred_at,
                    run_item_id,
                    instance_id,
                    change.account_id,
                    change.account_name,
                    change.database_id,
                    change.database_name,
                    str(change.kind),
                    change.raised,
                    Jsonb(change.diff),
                )
            )


def held_account_ids(connection: Connection[Any], instance_id: int) -> list[int]:
    """Return the accounts whose removal waits for a person; empty if there is no such removal."""
    row = connection.execute(
        "SELECT account_ids FROM held_removals WHERE instance_id = %s AND state = 'held'",
        (instance_id,),
    ).fetchone()
    return list(row[0]) if row else []


def hold(
    connection: Connection[Any],
    instance_id: int,
    held_at: datetime,
    account_ids: Sequence[int],
    accounts_before: int,
) -> None:
    """Hold a removal, or bring the one that is held up to the accounts that are missing now."""
    connection.execute(
        "INSERT INTO held_removals (instance_id, held_at, account_ids, accounts_before, state)"
        " VALUES (%s, %s, %s, %s, 'held')"
        " ON CONFLICT (instance_id) WHERE state = 'held'"
        " DO UPDATE SET account_ids = excluded.account_ids",
        (instance_id, held_at, sorted(account_ids), accounts_before),
    )


def settle(
    connection: Connection[Any], instance_id: int, state: str, at: datetime, by: str | None
) -> tuple[datetime, list[int]] | None:
    """End the held removal and return (held_at, account_ids); None if nothing is held."""
    row = connection.execute(
        "UPDATE held_removals SET state = %s, decided_at = %s, decided_by = %s"
        " WHERE instance_id = %s AND state = 'held' RETURNING held_at, account_ids",
        (state, at, by, instance_id),
    ).fetchone()
    return (row[0], list(row[1])) if row else None
