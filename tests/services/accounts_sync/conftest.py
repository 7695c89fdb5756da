"""A PostgreSQL to look after, read by a monitoring account that owns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from psycopg.rows import namedtuple_row

from app.models import db
from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.postgres_binaries import embedded_postgres
from app.utils.postgres_server import write_file

MONITOR = "monitor"
PASSWORD = "correct horse battery staple"


@dataclass
class Watched:
    """A server under watch, and what the ledger says of it."""

    server: EmbeddedPostgres
    instance: str
    instance_id: int
    databases: list[str] = field(default_factory=list)

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Do something on the server as its superuser."""
        with psycopg.connect(self.server.conninfo, dbname=database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def sync(self) -> str:
        """Sync once and return the state in which the item ended."""
        accounts_sync_service.sync_batch([self.instance_id])
        return str(self.item().state)

    def item(self) -> Any:
        """The newest item of the instance."""
        return self.rows("SELECT * FROM task_run_items ORDER BY id DESC LIMIT 1")[0]

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Ask the store."""
        db.session.rollback()
        connection: Any = db.session.connection().connection.driver_connection
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            found: list[Any] = cursor.execute(statement, parameters).fetchall()
        db.session.rollback()
        return found

    def accounts(self) -> set[str]:
        """Names of the accounts that exist, as the ledger says, without the server's own."""
        rows = self.rows(
            "SELECT name FROM accounts WHERE removed_at IS NULL AND kind IN ('user', 'role')"
        )
        return {row.name for row in rows} - {"whalefall", MONITOR}

    def changes(self) -> list[tuple[str, str | None]]:
        """(kind, account) of every change so far, in order."""
        rows = self.rows("SELECT kind, account_name FROM account_changes ORDER BY id")
        return [(row.kind, row.account_name) for row in rows]

    def ledger(self) -> list[Any]:
        """Everything that the ledger says is true now, comparable between two moments."""
        return self.rows(
            "SELECT a.name, d.name AS database, e.digest FROM entitlements AS e"
            " JOIN accounts AS a ON a.id = e.account_id LEFT JOIN databases AS d"
            " ON d.id = e.database_id WHERE e.valid_to IS NULL AND a.removed_at IS NULL"
            " ORDER BY 1, 2 NULLS FIRST"
        )

    def scopes(self) -> dict[str, tuple[str, str | None]]:
        """Status and reason of every scope, as of the newest item."""
        rows = self.rows(
            "SELECT scope, status, reason FROM scope_observations WHERE run_item_id = %s",
            self.item().id,
        )
        return {row.scope: (row.status, row.reason) for row in rows}


@pytest.fixture(scope="session")
def watched_server(public_tmp: Path) -> Iterator[EmbeddedPostgres]:
    server = embedded_postgres(public_tmp / "watched", durable=False)
    with server.running():
        hba = server.data_dir / "pg_hba.conf"
        write_file(hba, f"local all {MONITOR} scram-sha-256\n{hba.read_text()}")
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE ROLE {MONITOR} LOGIN PASSWORD '{PASSWORD}'")
        yield server


@pytest.fixture
def watched(app: Flask, watched_server: EmbeddedPostgres) -> Watched:
    """The server, cleaned of what the last test left, with two databases."""
    assert app
    _clean(watched_server)
    credentials_service.add("monitor", MONITOR, PASSWORD)
    row = instances_service.add(
        name="pg",
        engine="postgresql",
        host=str(watched_server.socket_directory),
        port=5432,
        credential="monitor",
    )
    one = Watched(watched_server, "pg", row.id, ["orders", "crm"])
    one.run(*(f"CREATE DATABASE {name}" for name in one.databases))
    for name in one.databases:
        one.run("CREATE TABLE items (id int, secret text)", database=name)
    return one


def _clean(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        names = connection.execute(
            "SELECT datname FROM pg_database WHERE oid > 16383 AND datname <> 'whalefall'"
        ).fetchall()
        for (name,) in names:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )
        roles = connection.execute(
            "SELECT rolname FROM pg_roles WHERE oid > 16383 AND rolname <> %s", (MONITOR,)
        ).fetchall()
        for (name,) in roles:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        for (name,) in roles:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
