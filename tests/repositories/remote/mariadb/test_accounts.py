"""MariaDB: what counts as what."""

from __future__ import annotations

from typing import Any

import pytest

from app.constants.accounts import AccountKind
from app.constants.reading import FailureKind
from app.repositories.remote import reader_for
from app.repositories.remote.facts import Receipt
from app.repositories.remote.mariadb.access_bits import WORDS, words_of_access
from app.repositories.remote.mysql_session import Session
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.show_grants import claims_of_facts, claims_of_server

KEY = "'u'@'%'"


def _set_priv(server: TestServer, json: str) -> None:
    server.run(
        "CREATE OR REPLACE USER u@'%'",
        f"UPDATE mysql.global_priv SET Priv = '{json}' WHERE User = 'u'",
        "FLUSH PRIVILEGES",
    )


def _version_id(server: TestServer) -> int:
    major, minor, patch = server.version
    return major * 10000 + minor * 100 + patch


def test_every_bit_means_what_show_grants_says(mariadb_server: TestServer) -> None:
    known = 40 if mariadb_server.version >= (11, 3) else 39
    for bit in range(known):
        json = f'{{"access": {1 << bit}, "version_id": {_version_id(mariadb_server)}}}'
        _set_priv(mariadb_server, json)
        claims = claims_of_facts(mariadb_server.facts(), KEY)
        assert claims == claims_of_server(mariadb_server, KEY), WORDS[bit]
        assert len(claims) == 1


@pytest.mark.parametrize("version_id", [0, 100501, 100502, 100508, 101100, 110000, 110300])
@pytest.mark.parametrize(
    "words",
    [
        ["SUPER"],
        ["SUPER", "REPLICATION SLAVE"],
        ["REPLICATION SLAVE"],
        ["BINLOG MONITOR"],
        ["REPLICATION SLAVE ADMIN"],
        ["SLAVE MONITOR"],
        ["SELECT", "GRANT OPTION"],
        ["SHOW CREATE ROUTINE"],
    ],
)
def test_a_mask_of_an_older_server_means_what_this_server_makes_of_it(
    mariadb_server: TestServer, version_id: int, words: list[str]
) -> None:
    access = sum(1 << WORDS.index(word) for word in words)
    _set_priv(mariadb_server, f'{{"access": {access}, "version_id": {version_id}}}')
    claims = claims_of_facts(mariadb_server.facts(), KEY)
    assert claims == claims_of_server(mariadb_server, KEY)


def test_a_mask_of_all_ones_is_all_that_the_server_knows(mariadb_server: TestServer) -> None:
    _set_priv(mariadb_server, '{"access": 18446744073709551615}')
    claims = claims_of_facts(mariadb_server.facts(), KEY)
    assert claims == claims_of_server(mariadb_server, KEY)
    assert len(claims) >= 37


def test_a_bit_that_nobody_knows_yet_is_kept() -> None:
    assert words_of_access(1 | 1 << 45, 130100, (13, 1, 0)) == {"SELECT", "bit 45"}


def test_roles_come_by_their_flag_and_public_is_everybody(mariadb_server: TestServer) -> None:
    mariadb_server.run(
        "CREATE ROLE r", "CREATE USER r@'%'", "GRANT CREATE USER ON *.* TO r", "CREATE USER plain@b"
    )
    has_public = mariadb_server.version >= (10, 11)
    if has_public:
        mariadb_server.run("GRANT r TO PUBLIC")
    content = mariadb_server.read()
    accounts = {account.key: account for account in content.accounts()}
    assert (accounts["'r'@''"].kind, accounts["'r'@''"].can_login) == (AccountKind.ROLE, False)
    assert (accounts["'r'@'%'"].kind, accounts["'r'@'%'"].can_login) == (AccountKind.USER, True)
    assert accounts["'mariadb.sys'@'localhost'"].kind is AccountKind.SYSTEM
    if has_public:
        assert accounts["'PUBLIC'@''"].kind is AccountKind.PUBLIC
        assert accounts["'plain'@'b'"].privileged_because == ("everybody has r",)


def test_a_user_named_public_is_nobody_special(mariadb_server: TestServer) -> None:
    mariadb_server.run("CREATE USER 'PUBLIC'@'%'")
    accounts = {account.key: account for account in mariadb_server.read().accounts()}
    assert accounts["'PUBLIC'@'%'"].kind is AccountKind.USER


def test_every_way_to_log_in_is_told_in_order(mariadb_server: TestServer) -> None:
    mariadb_server.run(
        "CREATE USER a@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('x')",
        "CREATE USER b@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x') OR unix_socket",
        "CREATE USER c@'%'",
    )
    facts = mariadb_server.facts()
    plugins = {key: facts[key]["attributes"]["plugin"] for key in ("'a'@'%'", "'b'@'%'", "'c'@'%'")}
    shown = {
        key: mariadb_server.run(f"SHOW CREATE USER {key}")[0][0].split("IDENTIFIED VIA ")[-1]
        for key in plugins
    }
    assert plugins["'a'@'%'"] == "unix_socket or mysql_native_password"
    assert plugins["'b'@'%'"] == "mysql_native_password or unix_socket"
    assert shown["'a'@'%'"].startswith("unix_socket OR")
    assert shown["'b'@'%'"].startswith("mysql_native_password USING")
    assert facts["'c'@'%'"]["attributes"]["empty_password"] is True
    assert facts["'b'@'%'"]["attributes"]["empty_password"] is False


def _read_while(server: TestServer, monkeypatch: pytest.MonkeyPatch, times: int) -> Any:
    """Read with accounts appearing in the middle, so many times."""
    left = [times]
    original = Session.ask_table

    def ask_and_change(session: Session, table: str, sql: str) -> Any:
        if table == "mysql.db" and left[0]:
            left[0] -= 1
            server.run(f"CREATE USER meanwhile{left[0]}@'%'")
        return original(session, table, sql)

    monkeypatch.setattr(Session, "ask_table", ask_and_change)
    with reader_for(server.engine).connect(server.target(), Receipt()) as session:
        return reader_for(server.engine).read_server(session)


def test_an_account_that_appears_during_the_read_is_in_it(
    mariadb_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _read_while(mariadb_server, monkeypatch, 1)
    assert content.missing == ()
    assert "'meanwhile0'@'%'" in content.facts()


def test_a_list_that_changes_again_and_again_is_only_partly_seen(
    mariadb_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _read_while(mariadb_server, monkeypatch, 2)
    (missing,) = content.missing
    assert missing.kind is FailureKind.LOCKED
