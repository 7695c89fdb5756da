"""What people ask the account ledger: lists, one account, the feed of changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from app.utils.sql_files import load_sql

_ACCOUNT_COLUMNS = (
    "a.id, i.name AS instance, i.engine, a.name, a.kind, a.can_login, a.locked, a.expires_at,"
    " a.privileged, a.privileged_because, a.first_seen_at, a.removed_at"
)


def list_accounts(connection: Connection[Any], **wanted: Any) -> list[Any]:
    """Return a page of accounts in the order of (name, id), after the given (name, id).

    Every condition whose value is None is left out of the statement, so that each combination gets
    a plan of its own.
    """
    conditions = {
        "instance": "i.name = %(instance)s",
        "engine": "i.engine = %(engine)s",
        "kind": "a.kind = %(kind)s",
        "name_like": "strpos(lower(a.name), lower(%(name_like)s)) > 0",
        "privileged": "a.privileged = %(privileged)s",
        "after_name": "(a.name, a.id) > (%(after_name)s, %(after_id)s)",
    }
    where = [sql for key, sql in conditions.items() if wanted.get(key) is not None]
    if not wanted["include_system"] and wanted.get("kind") is None:
        where.append("a.kind NOT IN ('system', 'public')")
    if not wanted["include_removed"]:
        where.append("a.removed_at IS NULL")
    return _rows(
        connection,
        f"SELECT {_ACCOUNT_COLUMNS} FROM accounts AS a"  # noqa: S608 - only the constants above
        f" JOIN instances AS i ON i.id = a.instance_id AND i.removed_at IS NULL"
        f" WHERE {' AND '.join(where) or 'true'} ORDER BY a.name, a.id LIMIT %(limit)s",
        wanted,
    )


def accounts_named(connection: Connection[Any], instance: str, name: str) -> list[Any]:
    """Return every account that has this name on the instance, the living one first."""
    return _rows(
        connection,
        f"SELECT {_ACCOUNT_COLUMNS} FROM accounts AS a"  # noqa: S608 - only the constants above
        " JOIN instances AS i ON i.id = a.instance_id AND i.removed_at IS NULL"
        " WHERE i.name = %(instance)s AND a.name = %(name)s"
        " ORDER BY a.removed_at DESC NULLS FIRST, a.id DESC",
        {"instance": instance, "name": name},
    )


def holdings(connection: Connection[Any], account_id: int, at: datetime | None) -> list[Any]:
    """Return what the account holds in each scope of its instance, and how far that is known.

    Rows are (scope, status, reason, full_at, valid_from, facts). With ``at`` the facts are those of
    that moment; without, the open ones.
    """
    return _rows(
        connection,
        "SELECT coalesce(d.name, 'server') AS scope, s.status, s.reason,"  # noqa: S608 - only the constants of _valid
        " CASE WHEN s.first_full_at <= coalesce(%(at)s, now()) THEN s.full_at END AS full_at,"
        " e.valid_from, e.facts"
        " FROM accounts AS a"
        " JOIN account_scopes AS s ON s.instance_id = a.instance_id"
        " LEFT JOIN databases AS d ON d.id = s.database_id"
        " LEFT JOIN entitlements AS e ON e.account_id = a.id"
        "  AND e.database_id IS NOT DISTINCT FROM s.database_id"
        f"  AND {_valid(at)}"
        " WHERE a.id = %(account_id)s AND (d.closed_at IS NULL OR d.closed_at > %(at)s)"
        " ORDER BY d.name NULLS FIRST",
        {"account_id": account_id, "at": at},
    )


def snapshot(connection: Connection[Any], instance_id: int, at: datetime | None) -> list[Any]:
    """Return (key, name, kind, can_login, locked, expires_at, database, facts) as of a moment.

    One row for each account and scope in which it holds something; ``at`` None is now.
    """
    return _rows(
        connection,
        "SELECT a.engine_key AS key, coalesce(e.facts -> 'attributes' ->> 'name', a.name) AS name,"  # noqa: S608 - only the constants of _valid
        " a.kind, a.can_login, a.locked, a.expires_at, d.name AS database, e.facts"
        " FROM entitlements AS e JOIN accounts AS a ON a.id = e.account_id"
        " LEFT JOIN databases AS d ON d.id = e.database_id"
        " WHERE e.instance_id = %(instance_id)s"
        f"  AND {_valid(at)}"
        " ORDER BY a.id, d.name NULLS FIRST",
        {"instance_id": instance_id, "at": at},
    )


def names_by_key(connection: Connection[Any], account_id: int) -> dict[str, str]:
    """Return the names of all accounts ever seen on its instance, the living ones winning."""
    rows = _rows(
        connection,
        "SELECT o.engine_key, o.name FROM accounts AS a JOIN accounts AS o USING (instance_id)"
        " WHERE a.id = %(account_id)s ORDER BY o.removed_at NULLS LAST, o.id",
        {"account_id": account_id},
    )
    return {row.engine_key: row.name for row in rows}


def list_changes(connection: Connection[Any], **wanted: Any) -> list[Any]:
    """Return a page of changes, newest first, before the given (occurred_at, id)."""
    conditions = {
        "instance": "i.name = %(instance)s",
        "since": "c.occurred_at >= %(since)s",
        "account": "c.account_name = %(account)s",
        "account_id": "c.account_id = %(account_id)s",
        "after_at": "(c.occurred_at, c.id) < (%(after_at)s, %(after_id)s)",
    }
    where = [sql for key, sql in conditions.items() if wanted.get(key) is not None]
    if wanted.get("raised_only"):
        where.append("c.raised")
    return _rows(
        connection,
        "SELECT c.id, c.occurred_at, i.name AS instance, c.account_name AS account,"  # noqa: S608 - only the constants above
        " c.database_name AS database, c.kind, c.raised, c.diff"
        " FROM account_changes AS c JOIN instances AS i ON i.id = c.instance_id"
        f" WHERE {' AND '.join(where) or 'true'}"
        " ORDER BY c.occurred_at DESC, c.id DESC LIMIT %(limit)s",
        wanted,
    )


def list_held(connection: Connection[Any]) -> list[Any]:
    """Return (id, instance_id, instance, held_at, accounts, accounts_before) of what waits."""
    return _rows(
        connection,
        "SELECT h.id, i.id AS instance_id, i.name AS instance, h.held_at, h.accounts_before,"
        " ARRAY(SELECT a.name FROM accounts AS a WHERE a.id = ANY (h.account_ids) ORDER BY 1)"
        "  AS accounts"
        " FROM held_removals AS h JOIN instances AS i ON i.id = h.instance_id"
        " WHERE h.state = 'held' ORDER BY h.held_at",
        {},
    )


def overview(connection: Connection[Any]) -> list[Any]:
    """Return one row an instance: what the ledger holds of it and how far that is to be trusted."""
    return _rows(connection, load_sql("app.repositories.sql", "instance_overview.sql"), {})


def _valid(at: datetime | None) -> str:
    """Return the condition for what is valid now, or was at the moment; each has an index."""
    if at is None:
        return "e.valid_to IS NULL"
    return "e.valid_from <= %(at)s AND (e.valid_to IS NULL OR e.valid_to > %(at)s)"


def _rows(connection: Connection[Any], statement: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()
