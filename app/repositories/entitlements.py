"""Who holds what since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.repositories import copying
from app.utils.sql_files import load_sql


class Incoming(NamedTuple):
    """One account's facts in one scope, as just read."""

    account_id: int
    database_id: int
    """0 is the server."""
    digest: bytes
    facts_json: bytes


def those_that_differ(
    connection: Connection[Any],
    instance_id: int,
    scopes: Sequence[int],
    incoming: Iterable[Incoming],
) -> list[Any]:
    """Return one row for each account and scope whose facts are not those that are stored.

    Rows are (account_id, scope, entitlement_id, facts_before, holds_something_now).
    Only digests travel: the facts of whoever did not change stay where they are.
    """
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS incoming_facts"
            " (account_id bigint, database_id integer, digest bytea) ON COMMIT DELETE ROWS"
        )
        cursor.execute("TRUNCATE incoming_facts")
        copying.copy_lines(
            connection,
            "COPY incoming_facts FROM STDIN",
            (
                b"%d\t%d\t%s\n" % (row.account_id, row.database_id, copying.digest(row.digest))
                for row in incoming
            ),
        )
        cursor.execute(
            load_sql("app.repositories.sql", "entitlements_that_differ.sql"),
            {"instance_id": instance_id, "scopes": list(scopes)},
        )
        return cursor.fetchall()


def open_new(
    connection: Connection[Any],
    instance_id: int,
    valid_from: datetime,
    incoming: Iterable[Incoming],
) -> int:
    """Write the incoming facts as valid from now on, and return how many rows they are.

    What they replace must be closed already.
    """
    since = valid_from.isoformat().encode()
    return copying.copy_lines(
        connection,
        "COPY entitlements (instance_id, account_id, database_id, valid_from, digest, facts)"
        " FROM STDIN",
        (
            b"%d\t%d\t%s\t%s\t%s\t%s\n"
            % (
                instance_id,
                row.account_id,
                b"%d" % row.database_id if row.database_id else b"\\N",
                since,
                copying.digest(row.digest),
                copying.document(row.facts_json),
            )
            for row in incoming
        ),
    )


def close(connection: Connection[Any], entitlement_ids: Sequence[int], valid_to: datetime) -> None:
    """End these entitlements."""
    if entitlement_ids:
        connection.execute(
            "UPDATE entitlements SET valid_to = greatest(%s, valid_from) WHERE id = ANY (%s)",
            (valid_to, list(entitlement_ids)),
        )


def close_of_databases(
    connection: Connection[Any], instance_id: int, database_ids: Sequence[int], valid_to: datetime
) -> dict[int, int]:
    """End everything held inside these databases; return how many accounts held something there."""
    rows = connection.execute(
        "WITH ended AS (UPDATE entitlements SET valid_to = greatest(%s, valid_from)"
        " WHERE instance_id = %s AND database_id = ANY (%s) AND valid_to IS NULL"
        " RETURNING database_id)"
        " SELECT database_id, count(*) FROM ended GROUP BY database_id",
        (valid_to, instance_id, list(database_ids)),
    )
    return {row[0]: row[1] for row in rows}


def open_of_accounts(connection: Connection[Any], account_ids: Sequence[int]) -> list[Any]:
    """Return (id, account_id, database, facts) of everything the accounts hold now."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT e.id, e.account_id, d.name AS database, e.facts"
            " FROM entitlements AS e LEFT JOIN databases AS d ON d.id = e.database_id"
            " WHERE e.account_id = ANY (%s) AND e.valid_to IS NULL"
            " ORDER BY e.account_id, e.database_id NULLS FIRST",
            (list(account_ids),),
        ).fetchall()
