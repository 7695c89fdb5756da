"""One read of a MySQL server: fourteen statements, whatever the number of accounts.

All grant tables are InnoDB and are read in one snapshot. The answers are digested as they come;
facts are built only when somebody asks for them. The server itself decides from its memory: grant
tables that were edited by hand count from the next FLUSH PRIVILEGES on, here at once.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from functools import cache

from app.constants.reading import FailureKind
from app.repositories.remote.facts import (
    AccountFact,
    DatabaseFact,
    FactsByKey,
    ReadError,
    Receipt,
    ScopeContent,
    ServerContent,
    Target,
    digest_of,
)
from app.repositories.remote.mysql.accounts import account_facts, account_list
from app.repositories.remote.mysql.answers import Answers
from app.repositories.remote.mysql_session import Rows, Session, grants_needed, open_session
from app.utils.sql_files import load_sql

READER_VERSION = b"mysql 1"
TABLES = {
    "dynamic_privileges": "mysql.global_grants",
    "database_grants": "mysql.db",
    "table_grants": "mysql.tables_priv",
    "column_grants": "mysql.columns_priv",
    "routine_grants": "mysql.procs_priv",
    "proxy_grants": "mysql.proxies_priv",
    "role_memberships": "mysql.role_edges",
    "default_roles": "mysql.default_roles",
}
"""Every answer but the list of accounts, and the table that it is read from."""

_EVERY_COLUMN = "/* , every privilege column of this version */"


def connect(target: Target, receipt: Receipt) -> AbstractContextManager[Session]:
    """Open one read-only session in one snapshot of the server."""
    milliseconds = max(1, math.ceil(target.statement_timeout_seconds * 1000))
    return open_session(target, receipt, [f"max_execution_time = {milliseconds}"])


def read_server(session: Session) -> ServerContent:
    """Read every account and everything that it holds.

    Raises:
        ReadError: the list of accounts could not be read, or the connection was lost.

    """
    settings = session.ask(_sql("settings"))
    columns = privilege_columns(session.ask(_sql("privilege_columns")))
    if "user" not in columns:
        raise _account_list_denied(session)
    accounts, raw = session.ask_table("mysql.user", with_columns(_sql("accounts"), columns["user"]))
    if session.missing:
        raise _account_list_denied(session, session.missing[0])
    rows: dict[str, Rows] = {}
    parts = [READER_VERSION, session.version.encode(), repr((settings, columns)).encode(), raw]
    for name, table in TABLES.items():
        sql = with_columns(_sql(name), columns.get("db", ()))
        rows[name], raw = session.ask_table(table, sql)
        parts.append(raw)
    answers = Answers(dict(settings), columns, accounts, rows)

    @cache
    def facts() -> FactsByKey:
        return account_facts(answers)

    @cache
    def known_accounts() -> list[AccountFact]:
        return account_list(answers, facts())

    return ServerContent(
        digest=digest_of(*parts),
        facts=facts,
        missing=tuple(session.missing),
        accounts=known_accounts,
        version=session.version,
        rights=dict(session.rights),
    )


def read_database(
    target: Target,  # noqa: ARG001 - the contract of readers
    database: DatabaseFact,
    receipt: Receipt,  # noqa: ARG001 - the contract of readers
    version: str,  # noqa: ARG001 - the contract of readers
) -> ScopeContent:
    """Refuse: the server scope of this engine says it all.

    Raises:
        ReadError: always.

    """
    message = f"{database.name}: databases have no grant tables of their own"
    raise ReadError(FailureKind.UNSUPPORTED, message)


def privilege_columns(rows: Rows) -> dict[str, tuple[str, ...]]:
    """Return the privilege columns of each table, in the table's own order."""
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return {table: tuple(columns) for table, columns in found.items()}


def with_columns(sql: str, columns: tuple[str, ...]) -> str:
    """Return a statement that answers the flags of these columns as one string, "YNY…"."""
    return sql.replace(_EVERY_COLUMN, "".join(f", `{column}`" for column in columns))


def _account_list_denied(session: Session, error: ReadError | None = None) -> ReadError:
    """Return the error to raise when not even the accounts can be listed."""
    if error is None:
        error = ReadError(FailureKind.DENIED, "mysql.user: we may not read it")
    if error.kind is FailureKind.DENIED:
        error.remedy = grants_needed(session.target, ["mysql.user", *TABLES.values()])
    return error


def _sql(name: str) -> str:
    return load_sql("app.repositories.remote.mysql", f"{name}.sql")
