"""The same promises on MySQL and MariaDB, where the server scope says it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from psycopg.rows import namedtuple_row

from app.models import db
from app.services.accounts.accounts_service import accounts_service
from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.credentials.credentials_service import credentials_service
from app.services.demo.fleet import MONITORED
from app.services.instances.instances_service import instances_service
from tests.fixtures.mysql import TestServer

MONITOR = "monitor@localhost"
PASSWORD = "correct horse battery staple"


@dataclass
class Watched:
    server: TestServer
    instance_id: int

    def sync(self) -> str:
        accounts_sync_service.sync_batch([self.instance_id])
        return str(self.ask("SELECT state FROM task_run_items ORDER BY id DESC LIMIT 1")[0].state)

    def ask(self, statement: str) -> list[Any]:
        db.session.rollback()
        connection: Any = db.session.connection().connection.driver_connection
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            found: list[Any] = cursor.execute(statement).fetchall()
        db.session.rollback()
        return found

    def ledger(self) -> list[Any]:
        return self.ask(
            "SELECT a.name, e.digest FROM entitlements AS e"
            " JOIN accounts AS a ON a.id = e.account_id"
            " WHERE e.valid_to IS NULL AND a.removed_at IS NULL AND a.name <> 'monitor@localhost'"
            " ORDER BY 1"
        )

    def changes(self) -> list[tuple[str, str | None]]:
        rows = self.ask("SELECT kind, account_name FROM account_changes ORDER BY id")
        return [(row.kind, row.account_name) for row in rows if row.account_name != MONITOR]


@pytest.fixture
def watched(app: Flask, any_mysqld: TestServer) -> Watched:
    assert app
    any_mysqld.run(
        f"CREATE USER {MONITOR} IDENTIFIED BY '{PASSWORD}'",
        *(f"GRANT SELECT ON {table} TO {MONITOR}" for table in MONITORED[any_mysqld.engine]),
        "CREATE DATABASE shop",
        "CREATE TABLE shop.articles (id int)",
        "CREATE USER ''@'%'",
        "CREATE USER 'web'@'10.0.%'",
        "GRANT SELECT ON shop.* TO 'web'@'10.0.%'",
        "GRANT UPDATE (id) ON shop.articles TO 'web'@'10.0.%'",
    )
    credentials_service.add("monitor", "monitor", PASSWORD)
    row = instances_service.add(
        name="shop",
        engine=any_mysqld.engine.value,
        host=any_mysqld.local.socket,
        port=3306,
        credential="monitor",
    )
    watched = Watched(any_mysqld, row.id)
    assert watched.sync() == "succeeded"
    return watched


def test_the_least_grants_are_enough_and_anonymous_accounts_are_kept(watched: Watched) -> None:
    names = {row.name for row in watched.ledger()}
    assert {"@%", "web@10.0.%"} <= names
    assert watched.changes() == []


def test_what_changed_is_told_and_nothing_else(watched: Watched) -> None:
    watched.server.run(
        "GRANT DELETE ON shop.* TO 'web'@'10.0.%' WITH GRANT OPTION",
        "CREATE USER 'new one'@'%'",
        "DROP USER ''@'%'",
    )
    assert watched.sync() == "succeeded"
    assert sorted(watched.changes(), key=str) == [
        ("access_changed", "web@10.0.%"),
        ("account_created", "new one@%"),
        ("account_removed", "@%"),
    ]


def test_a_table_of_grants_that_we_may_no_longer_read_revokes_nothing(watched: Watched) -> None:
    before = watched.ledger()
    watched.server.run(f"REVOKE SELECT ON mysql.columns_priv FROM {MONITOR}")
    assert watched.sync() == "partial"
    assert watched.ledger() == before
    (scope,) = watched.ask("SELECT status, reason, remedy FROM account_scopes")
    assert scope.status == "partial"
    assert "columns_priv" in scope.reason
    assert "GRANT SELECT" in scope.remedy
    assert [kind for kind, _ in watched.changes()] == ["rights_lost"]
    assert watched.sync() == "partial"
    watched.server.run(f"GRANT SELECT ON mysql.columns_priv TO {MONITOR}")
    assert watched.sync() == "succeeded"
    assert watched.ledger() == before
    assert [kind for kind, _ in watched.changes()] == ["rights_lost", "rights_gained"]


def test_a_list_of_accounts_that_we_may_no_longer_read_removes_nobody(watched: Watched) -> None:
    before = watched.ledger()
    table = MONITORED[watched.server.engine][0]
    watched.server.run(f"REVOKE SELECT ON {table} FROM {MONITOR}")
    assert watched.sync() == "failed"
    assert watched.sync() == "failed"
    assert watched.ledger() == before
    (unseen,) = accounts_service.overview()[0].scopes_not_seen
    assert (unseen.scope, unseen.status) == ("server", "denied")
    assert "GRANT SELECT" in (unseen.remedy or "")
    assert [kind for kind, _ in watched.changes()] == ["rights_lost"]
    watched.server.run(f"GRANT SELECT ON {table} TO {MONITOR}")
    assert watched.sync() == "succeeded"
    assert watched.ledger() == before
    assert [kind for kind, _ in watched.changes()] == ["rights_lost", "rights_gained"]


def test_a_mass_removal_is_held_and_dissolves_when_they_return(watched: Watched) -> None:
    people = [f"'person{n}'@'%'" for n in range(12)]
    watched.server.run(*(f"CREATE USER {name}" for name in people))
    watched.sync()
    names = [row.name for row in watched.ledger()]
    watched.server.run(f"DROP USER {', '.join(people)}")
    assert watched.sync() == "partial"
    assert [len(held.accounts) for held in accounts_service.list_held()] == [12]
    assert [row.name for row in watched.ledger()] == names
    watched.server.run(*(f"CREATE USER {name}" for name in people))
    assert watched.sync() == "succeeded"
    assert accounts_service.list_held() == []
    assert [row.name for row in watched.ledger()] == names
    assert "account_removed" not in [kind for kind, _ in watched.changes()]
