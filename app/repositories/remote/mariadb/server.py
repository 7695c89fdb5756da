"""One read of a MariaDB server: thirteen statements, whatever the number of accounts.

The grant tables are Aria tables, which have no snapshot. So the list of accounts is read first and
once more at the end: if it changed meanwhile, everything is read once more, and if it changed again
the scope is only partly seen. The server itself decides from its memory: grant tables that were
edited by hand count from the next FLUSH PRIVILEGES on, here at once.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from app.constants.reading import FailureKind
from app.repositories.remote.facts import (
    AccountFact,
    FactsByKey,
    ReadError,
    Receipt,
    ServerContent,
    Target,
    digest_of,
)
from app.repositories.remote.mariadb.accounts import account_facts, account_list
from app.repositories.remote.mysql.answers import Answers
from app.repositories.remote.mysql.server import privilege_columns, read_database, with_columns
from app.repositories.remote.mysql_session import (
    Rows,
    Session,
    grants_needed,
    open_session,
    version_numbers,
)
from app.utils.sql_files import load_sql

__all__ = ["READER_VERSION", "TABLES", "connect", "read_database", "read_server"]

READER_VERSION = b"mariadb 1"
TABLES = {
    "database_grants": "mysql.db",
    "table_grants": "mysql.tables_priv",
    "column_grants": "mysql.columns_priv",
    "routine_grants": "mysql.procs_priv",
    "proxy_grants": "mysql.proxies_priv",
    "role_memberships": "mysql.roles_mapping",
}
"""Every answer but the list of accounts, and the table that it is read from."""


def connect(target: Target, receipt: Receipt) -> AbstractContextManager[Session]:
    """Open one read-only session."""
    seconds = max(0.001, target.statement_timeout_seconds)
    return open_session(target, receipt, [f"max_statement_time = {seconds:.3f}"])


def read_server(session: Session) -> ServerContent:
    """Read every account and everything that it holds.

    Raises:
        ReadError: the list of accounts could not be read, or the connection was lost.

    """
    settings: dict[str, str] = dict(session.ask(_sql("settings")))
    columns = privilege_columns(session.ask(_sql("privilege_columns")))
    accounts, raw_accounts = _ask_accounts(session)
    rows, parts = _ask_the_rest(session, columns)
    again, raw_again = _ask_accounts(session)
    if raw_again != raw_accounts:
        session.missing.clear()
        accounts, raw_accounts = again, raw_again
        rows, parts = _ask_the_rest(session, columns)
        if _ask_accounts(session)[1] != raw_accounts:
            message = "mysql.global_priv changed twice while it was read"
            session.missing.append(ReadError(FailureKind.LOCKED, message, "sync again later"))
    head = [READER_VERSION, session.version.encode(), repr((settings, columns)).encode()]
    answers = Answers(settings, columns, accounts, rows)
    version = version_numbers(session.version)

    @cache
    def facts() -> FactsByKey:
        return account_facts(answers, version)

    @cache
    def known_accounts() -> list[AccountFact]:
        return account_list(answers, facts(), version)

    return ServerContent(
        digest=digest_of(*head, raw_accounts, *parts),
        facts=facts,
        missing=tuple(session.missing),
        accounts=known_accounts,
        version=session.version,
        rights=dict(session.rights),
    )


def _ask_accounts(session: Session) -> tuple[Rows, bytes]:
    before = len(session.missing)
    rows, raw = session.ask_table("mysql.global_priv", _sql("accounts"))
    if len(session.missing) > before:
        error = session.missing[-1]
        if error.kind is FailureKind.DENIED:
            error.remedy = grants_needed(session.target, ["mysql.global_priv", *TABLES.values()])
        raise error
    return rows, raw


def _ask_the_rest(
    session: Session, columns: dict[str, tuple[str, ...]]
) -> tuple[dict[str, Rows], list[bytes]]:
    rows: dict[str, Rows] = {}
    parts = []
    for name, table in TABLES.items():
        sql = with_columns(_sql(name), columns.get("db", ()))
        rows[name], raw = session.ask_table(table, sql)
        parts.append(raw)
    return rows, parts


def _sql(name: str) -> str:
    return load_sql("app.repositories.remote.mariadb", f"{name}.sql")
