"""What our own account may see, and what becomes of the facts when it may not."""

from __future__ import annotations

import re

import pytest

from app.constants.engines import Engine
from app.constants.reading import FailureKind, ScopeStatus
from app.repositories.remote.facts import ReadError, Receipt
from app.repositories.remote.mariadb import server as mariadb_server_module
from app.repositories.remote.mysql import server as mysql_server_module
from tests.fixtures.mysql import ROOT, TestServer


def _tables(server: TestServer) -> list[str]:
    if server.engine is Engine.MYSQL:
        return ["mysql.user", *mysql_server_module.TABLES.values()]
    return ["mysql.global_priv", *mariadb_server_module.TABLES.values()]


def _watch(server: TestServer, tables: list[str]) -> None:
    server.run("CREATE USER watch@localhost IDENTIFIED BY 'watch-Pass1'")
    server.run(*(f"GRANT SELECT ON {table} TO watch@localhost" for table in tables))


def test_select_on_the_named_tables_is_enough_to_see_everything(any_mysqld: TestServer) -> None:
    _watch(any_mysqld, _tables(any_mysqld))
    any_mysqld.run("CREATE USER a@b", "GRANT ALL ON *.* TO a@b WITH GRANT OPTION")
    seen = any_mysqld.read(any_mysqld.target("watch", "watch-Pass1"))
    assert seen.missing == ()
    assert seen.facts() == any_mysqld.facts()
    assert seen.rights == {f"SELECT ON {table}": True for table in _tables(any_mysqld)}


def test_one_table_denied_makes_the_scope_partial_and_says_what_to_grant(
    any_mysqld: TestServer,
) -> None:
    for denied in _tables(any_mysqld)[1:]:
        any_mysqld.clean()
        _watch(any_mysqld, [table for table in _tables(any_mysqld) if table != denied])
        seen = any_mysqld.read(any_mysqld.target("watch", "watch-Pass1"))
        (missing,) = seen.missing
        assert (missing.kind, missing.status) == (FailureKind.DENIED, ScopeStatus.DENIED)
        assert missing.remedy == f"GRANT SELECT ON {denied} TO 'watch'@'…';"
        assert seen.rights[f"SELECT ON {denied}"] is False
        assert {account.name for account in seen.accounts()} >= {
            "root@localhost",
            "watch@localhost",
        }
        assert seen.facts()


def test_without_the_list_of_accounts_nothing_is_answered(any_mysqld: TestServer) -> None:
    _watch(any_mysqld, _tables(any_mysqld)[1:])
    with pytest.raises(ReadError) as raised:
        any_mysqld.read(any_mysqld.target("watch", "watch-Pass1"))
    assert raised.value.kind is FailureKind.DENIED
    for table in _tables(any_mysqld):
        assert f"GRANT SELECT ON {table} TO 'watch'@'…';" in str(raised.value.remedy)


def test_an_account_without_any_right_is_told_what_it_needs(any_mysqld: TestServer) -> None:
    _watch(any_mysqld, [])
    with pytest.raises(ReadError) as raised:
        any_mysqld.read(any_mysqld.target("watch", "watch-Pass1"))
    assert raised.value.kind is FailureKind.DENIED
    assert "GRANT SELECT ON" in str(raised.value.remedy)


def test_no_hash_of_a_password_leaves_the_server(
    any_mysqld: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_mysqld.run("CREATE USER old@'%' IDENTIFIED BY 'canary-Pass1'")
    if any_mysqld.engine is Engine.MYSQL:
        any_mysqld.run("ALTER USER old@'%' IDENTIFIED BY 'canary-Pass2' RETAIN CURRENT PASSWORD")
        rows = any_mysqld.run(
            "SELECT authentication_string, User_attributes->>'$.additional_password'"
            " FROM mysql.user WHERE User = 'old'"
        )
        secrets = [value for value in rows[0] if value]
    else:
        any_mysqld.run(
            "ALTER USER old@'%' IDENTIFIED VIA ed25519 USING PASSWORD('canary-Pass1')"
            " OR mysql_native_password USING PASSWORD('canary-Pass2')"
            if any_mysqld.run("SELECT 1 FROM mysql.plugin WHERE name = 'ed25519'")
            else "ALTER USER old@'%' IDENTIFIED VIA unix_socket"
            " OR mysql_native_password USING PASSWORD('canary-Pass2')"
        )
        ((priv,),) = any_mysqld.run("SELECT Priv FROM mysql.global_priv WHERE User = 'old'")
        secrets = [part for part in priv.split('"') if part.startswith("*")]
    assert secrets
    session_class = type(any_mysqld.connection)
    received: list[bytes] = []
    original = session_class._read_bytes  # type: ignore[attr-defined]

    def recorded(connection: object, size: int) -> bytes:
        data: bytes = original(connection, size)
        received.append(data)
        return data

    monkeypatch.setattr(session_class, "_read_bytes", recorded)
    content = any_mysqld.read()
    monkeypatch.undo()
    told = repr((content.facts(), content.accounts(), content.missing)).encode()
    answered = b"".join(received)
    assert b"old" in answered
    for secret in secrets:
        assert secret.encode() not in answered
        assert secret.encode() not in told


def test_the_number_of_statements_does_not_grow_with_the_accounts(any_mysqld: TestServer) -> None:
    few, many = Receipt(), Receipt()
    any_mysqld.read(receipt=few)
    any_mysqld.run(*(f"CREATE USER u{n}@'%'" for n in range(60)))
    any_mysqld.run(*(f"GRANT SELECT ON *.* TO u{n}@'%'" for n in range(60)))
    content = any_mysqld.read(receipt=many)
    assert len(content.accounts()) >= 60
    assert few.queries == many.queries <= 14
    assert many.rows > few.rows
    assert many.bytes > few.bytes > 0


def test_the_digest_changes_with_every_change_and_only_then(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE DATABASE d", "CREATE TABLE d.t (a int)", "CREATE USER u@'%'")
    seen = [any_mysqld.read().digest]
    assert any_mysqld.read().digest == seen[0]
    for change in (
        "GRANT SELECT ON *.* TO u@'%'",
        "GRANT SELECT ON d.* TO u@'%'",
        "GRANT SELECT ON d.t TO u@'%'",
        "GRANT SELECT (a) ON d.t TO u@'%'",
        "ALTER USER u@'%' ACCOUNT LOCK",
        "CREATE ROLE r",
        "GRANT r TO u@'%'",
        "DROP USER u@'%'",
    ):
        any_mysqld.run(change)
        digest = any_mysqld.read().digest
        assert digest not in seen, change
        seen.append(digest)


def test_every_statement_is_prepared_by_the_server_as_it_stands(any_mysqld: TestServer) -> None:
    files = sorted((ROOT / "app/repositories/remote" / any_mysqld.engine).glob("*.sql"))
    assert len(files) >= 9
    for file in files:
        text = file.read_text()
        assert text.startswith("-- "), file
        assert re.search(r"[.?]", text.split("\n", 1)[0] + text.split("\n", 2)[1]), file
        if file.name == "disks.sql":
            continue  # of a plugin that no server here has: has_disks.sql asks for it first
        filled = re.sub(r"/\* \w+ \*/", "0", text)  # where a list is filled in
        quoted = filled.replace("\\", "\\\\").replace("'", "''")
        any_mysqld.run(f"PREPARE statement FROM '{quoted}'", "DEALLOCATE PREPARE statement")
