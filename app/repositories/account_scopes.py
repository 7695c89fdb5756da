"""How far the ledger of accounts may be trusted, scope by scope, and what each run saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import namedtuple_row


class ScopeState(NamedTuple):
    """What is known of one scope from earlier reads."""

    full_at: datetime | None
    full_digest: bytes | None


@dataclass(frozen=True)
class Observation:
    """What one read saw of one scope."""

    database_id: int | None
    scope: str
    status: str
    reason: str | None
    remedy: str | None
    changed: int
    duration_ms: int
    expected: bool
    """Whether it is skipped on every healthy server of the engine."""
    digest: bytes | None
    """Of the whole answer, if it was full and everything in it found its place."""


def states(connection: Connection[Any], instance_id: int) -> dict[int | None, ScopeState]:
    """Return the state of every scope of the instance by database id; None is the server."""
    rows = connection.execute(
        "SELECT database_id, full_at, full_digest FROM account_scopes WHERE instance_id = %s",
        (instance_id,),
    )
    return {row[0]: ScopeState(row[1], row[2]) for row in rows}


def those_known(connection: Connection[Any], database_ids: Sequence[int]) -> list[int]:
    """Return those of these databases that the ledger of accounts has a scope for."""
    rows = connection.execute(
        "SELECT database_id FROM account_scopes WHERE database_id = ANY (%s) ORDER BY 1",
        (list(database_ids),),
    )
    return [row[0] for row in rows]


def observe(
    connection: Connection[Any],
    run_item_id: int,
    instance_id: int,
    observed_at: datetime,
    observations: Sequence[Observation],
) -> None:
    """Write what a run item of any task saw of these scopes: one row of history each."""
    if observations:
        connection.execute(
            "INSERT INTO scope_observations (run_item_id, instance_id, observed_at, database_id,"
            " scope, status, reason, remedy, changed, duration_ms)"
            " SELECT %(item)s, %(instance)s, %(at)s, * FROM unnest(%(database_ids)s::integer[],"
            " %(scopes)s::text[], %(statuses)s::text[], %(reasons)s::text[], %(remedies)s::text[],"
            " %(changed)s::integer[], %(durations)s::integer[])",
            {
                "item": run_item_id,
                "instance": instance_id,
                "at": observed_at,
                "database_ids": [o.database_id for o in observations],
                "scopes": [o.scope for o in observations],
                "statuses": [o.status for o in observations],
                "reasons": [o.reason for o in observations],
                "remedies": [o.remedy for o in observations],
                "changed": [o.changed for o in observations],
                "durations": [o.duration_ms for o in observations],
            },
        )


def observed(connection: Connection[Any], run_item_id: int) -> list[Any]:
    """Return (database_id, scope, status, reason) of what a run item saw."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT database_id, scope, status, reason FROM scope_observations"
            " WHERE run_item_id = %s ORDER BY id",
            (run_item_id,),
        ).fetchall()


def record(
    connection: Connection[Any],
    run_item_id: int,
    instance_id: int,
    observed_at: datetime,
    observations: Sequence[Observation],
) -> None:
    """Write what account sync saw of these scopes: their history, and their present state."""
    if not observations:
        return
    observe(connection, run_item_id, instance_id, observed_at, observations)
    connection.execute(
        "INSERT INTO account_scopes AS s (instance_id, database_id, status, reason, remedy,"
        " expected, observed_at, first_full_at, full_at, full_digest)"
        " SELECT %(instance)s, database_id, status, reason, remedy, expected, %(at)s,"
        "  CASE WHEN status = 'full' THEN %(at)s::timestamptz END,"
        "  CASE WHEN status = 'full' THEN %(at)s::timestamptz END, digest"
        " FROM unnest(%(database_ids)s::integer[], %(statuses)s::text[], %(reasons)s::text[],"
        "  %(remedies)s::text[], %(expected)s::boolean[], %(digests)s::bytea[])"
        "  AS n(database_id, status, reason, remedy, expected, digest)"
        " ON CONFLICT (instance_id, database_id) DO UPDATE SET status = excluded.status,"
        "  reason = excluded.reason, remedy = excluded.remedy, expected = excluded.expected,"
        "  observed_at = excluded.observed_at,"
        "  first_full_at = coalesce(s.first_full_at, excluded.first_full_at),"
        "  full_at = coalesce(excluded.full_at, s.full_at),"
        "  full_digest = CASE WHEN excluded.status = 'full' THEN excluded.full_digest"
        "   ELSE s.full_digest END",
        {
            "instance": instance_id,
            "at": observed_at,
            "database_ids": [o.database_id for o in observations],
            "statuses": [o.status for o in observations],
            "reasons": [o.reason for o in observations],
            "remedies": [o.remedy for o in observations],
            "expected": [o.expected for o in observations],
            "digests": [o.digest for o in observations],
        },
    )


def mark_unreached(
    connection: Connection[Any], instance_id: int, observed_at: datetime, reason: str
) -> None:
    """Say of every database of the instance that it was not reached this time."""
    connection.execute(
        "UPDATE account_scopes AS s SET status = 'failed', reason = %s, remedy = NULL,"
        " observed_at = %s"
        " FROM databases AS d WHERE s.instance_id = %s AND d.id = s.database_id"
        " AND d.closed_at IS NULL AND s.status <> 'skipped'",
        (reason, observed_at, instance_id),
    )
