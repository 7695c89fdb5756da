"""What the ledger stores is enough to make a server's accounts true again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from app.constants.engines import Engine
from app.models import db
from app.repositories import account_views
from app.repositories.remote.facts import Target
from app.services.accounts.accounts_service import accounts_service
from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from tests.fixtures.mysql import TestServer
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.mysql.test_rebuild import OBJECTS, worlds
from tests.repositories.remote.mysql.test_rebuild import _try as attempt
from tests.repositories.remote.postgresql.world import (
    DATABASE,
    build_objects,
    by_name,
    histories,
    live,
)

_numbers = itertools.count(1)
_few = settings(
    max_examples=4,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _synced(target: Target) -> str:
    """Register a server under a new name, sync it, and return the name."""
    name = f"server{next(_numbers)}"
    credentials_service.add(name, target.username, target.password or "unused")
    row = instances_service.add(
        name=name,
        engine=target.engine.value,
        host=target.host,
        port=target.port or 3306,
        credential=name,
        tls_mode="disable",
    )
    result = accounts_sync_service.sync_batch([row.id])
    assert result["failed_count"] == 0, result
    return name


def _synced_as_root(server: TestServer) -> str:
    """Sync with a password for root, which the fixture's server does not have."""
    server.run("ALTER USER root@localhost IDENTIFIED BY 'for this test'")
    try:
        return _synced(server.target("root", "for this test"))
    finally:
        server.run("ALTER USER root@localhost IDENTIFIED BY ''")


def _ledger(instance: str) -> dict[str | None, dict[str, Any]]:
    """Everything stored of an instance by scope, with names instead of keys."""
    row = instances_service.get(instance)
    connection: Any = db.session.connection().connection.driver_connection
    scopes: dict[str | None, dict[str, Any]] = {}
    names = []
    for found in account_views.snapshot(connection, row.id, None):
        names.append(found)
        scopes.setdefault(found.database, {})[found.key] = found.facts
    return {scope: by_name(names, facts) for scope, facts in scopes.items()}


@_few
@given(history=histories)
def test_postgresql(
    app: Flask, postgresql: PostgresqlServer, history: list[tuple[str, str]]
) -> None:
    assert app
    postgresql.wipe()
    build_objects(postgresql)
    live(postgresql, history)
    before = _synced(postgresql.target())
    statements = accounts_service.grant_statements(before)

    postgresql.wipe()
    build_objects(postgresql)
    postgresql.run(*statements.pop(None))
    for database, inside in statements.items():
        assert database is not None
        postgresql.run(*inside, database=database)
    after = _synced(postgresql.target())
    assert DATABASE in _ledger(after)
    found, wanted = _ledger(after), _ledger(before)
    for scope, accounts in wanted.items():
        for name, held in accounts.items():
            assert found[scope][name] == held, f"{name} in {scope or 'the server'}"
    assert found == wanted


def test_mysql_and_mariadb(
    app: Flask, two_mysqlds: Callable[[], tuple[TestServer, TestServer]]
) -> None:
    assert app
    first, second = two_mysqlds()
    for server in (first, second):
        server.run(*OBJECTS)  # they outlive the cleaning between two examples
    # MariaDB 10.5 does not show every PROXY that it has stored
    proxies = first.engine is Engine.MYSQL or first.version >= (10, 6)
    public = first.engine is Engine.MARIADB and first.version >= (10, 11)

    @_few
    @given(statements=worlds(first.engine, public=public, proxies=proxies))
    def check(statements: list[str]) -> None:
        one, empty = two_mysqlds()
        for statement in statements:
            attempt(one, statement)
        before = _synced_as_root(one)
        empty.run(*accounts_service.grant_statements(before)[None])
        assert _settable(_ledger(_synced_as_root(empty))) == _settable(_ledger(before))

    check()


def _settable(ledger: dict[str | None, dict[str, Any]]) -> dict[str, Any]:
    """Leave out the one attribute that no statement can set: when the password was changed."""
    for held in ledger[None].values():
        held.get("attributes", {}).pop("password_last_changed", None)
    return ledger[None]
