"""MySQL: what counts as what."""

from __future__ import annotations

import pymysql
import pytest

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, FactsByKey
from app.repositories.remote.mysql.accounts import EVERYBODY, mandatory_roles
from app.repositories.remote.mysql.privileged import privileged_because
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.show_grants import claims_of_facts, claims_of_server


def _account(server: TestServer, key: str) -> AccountFact:
    return next(account for account in server.read().accounts() if account.key == key)


def test_roles_are_told_from_locked_users_by_evidence(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE ROLE never_granted, granted",
        "CREATE USER locked@'%' IDENTIFIED BY 'x-Pass-1' ACCOUNT LOCK",
        "CREATE USER lends@'%' IDENTIFIED BY 'x-Pass-1'",
        "GRANT granted TO lends@'%'",
        "CREATE USER borrows@'%'",
        "GRANT lends@'%' TO borrows@'%'",
    )
    kinds = {account.name: account.kind for account in mysql_server.read().accounts()}
    assert kinds["never_granted@%"] is AccountKind.ROLE
    assert kinds["granted@%"] is AccountKind.ROLE
    assert kinds["locked@%"] is AccountKind.USER
    assert kinds["lends@%"] is AccountKind.USER  # it can log in
    assert kinds["mysql.sys@localhost"] is AccountKind.SYSTEM


def test_names_that_only_look_reserved_are_people(mysql_server: TestServer) -> None:
    mysql_server.run("CREATE USER 'mysql.sys'@'%'", "CREATE USER mysqladmin@localhost")
    kinds = {account.name: account.kind for account in mysql_server.read().accounts()}
    assert kinds["mysql.sys@%"] is kinds["mysqladmin@localhost"] is AccountKind.USER


def test_the_nameless_account_stays_visible(mysql_server: TestServer) -> None:
    mysql_server.run("CREATE USER ''@'%'")
    account = _account(mysql_server, "''@'%'")
    assert (account.kind, account.can_login) == (AccountKind.USER, True)


def test_mandatory_roles_are_what_everybody_has(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE ROLE 'it''s'@'%', r2",
        "GRANT CREATE USER ON *.* TO r2",
        "CREATE USER plain@'%'",
        """SET GLOBAL mandatory_roles = "'it''s'@'%' , `r2`" """,
    )
    content = mysql_server.read()
    roles = [entry["role"] for entry in content.facts()[EVERYBODY]["memberships"]]
    assert roles == ["'it''s'@'%'", "'r2'@'%'"]
    plain = next(account for account in content.accounts() if account.name == "plain@%")
    assert plain.privileged_because == ("everybody has r2@%",)
    everybody = next(account for account in content.accounts() if account.key == EVERYBODY)
    assert everybody.kind is AccountKind.PUBLIC


def test_a_leftover_default_role_is_no_role(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE ROLE r",
        "SET GLOBAL mandatory_roles = 'r'",
        "CREATE USER u@'%'",
        "SET DEFAULT ROLE r TO u@'%'",
    )
    (entry,) = mysql_server.facts()["'u'@'%'"]["memberships"]
    assert entry == {"role": "'r'@'%'", "default": True}
    mysql_server.run("DROP USER u@'%'", "SET GLOBAL mandatory_roles = ''", "CREATE USER u@'%'")
    assert "memberships" not in mysql_server.facts()["'u'@'%'"]


def test_the_settings_that_decide_are_always_shown(mysql_server: TestServer) -> None:
    attributes = mysql_server.facts()[EVERYBODY]["attributes"]
    assert attributes["partial_revokes"] == "OFF"
    assert attributes["activate_all_roles_on_login"] == "OFF"


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("", []),
        ("a", ["'a'@'%'"]),
        ("a@b.c,`d e`@'%'", ["'a'@'b.c'", "'d e'@'%'"]),
        (
            r"'it\'s'@localhost , \"q\"\"x\"".replace('\\"', '"'),
            ["'it''s'@'localhost'", "'q\"x'@'%'"],
        ),
    ],
)
def test_mandatory_roles_are_read_as_the_server_reads_them(value: str, keys: list[str]) -> None:
    assert mandatory_roles(value) == keys


def test_partial_revokes_are_exceptions_not_grants(mysql_server: TestServer) -> None:
    mysql_server.run(
        "SET GLOBAL partial_revokes = ON",
        "CREATE USER u@'%'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO u@'%'",
        "REVOKE INSERT, UPDATE, DELETE ON mysql.* FROM u@'%'",
    )
    facts = mysql_server.facts()["'u'@'%'"]
    words = ["DELETE", "INSERT", "UPDATE"]
    assert facts["revokes"] == [{"on": "database", "name": ["mysql"], "privileges": words}]
    assert _account(mysql_server, "'u'@'%'").privileged_because == ()


def test_a_password_that_expires_says_when(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE USER soon@'%' PASSWORD EXPIRE INTERVAL 30 DAY",
        "CREATE USER never@'%' PASSWORD EXPIRE NEVER",
        "CREATE USER usual@'%'",
        "CREATE USER now@'%' PASSWORD EXPIRE",
        "SET GLOBAL default_password_lifetime = 7",
    )
    try:
        expires = {a.name: a.expires_at for a in mysql_server.read().accounts()}
        facts = mysql_server.facts()
    finally:
        mysql_server.run("SET GLOBAL default_password_lifetime = 0")
    changed = str(facts["'soon'@'%'"]["attributes"]["password_last_changed"])
    assert expires["never@%"] == "never"
    assert str(expires["usual@%"]) > changed
    assert str(expires["soon@%"]) > str(expires["usual@%"])
    assert str(expires["now@%"]) <= str(expires["usual@%"])


def test_a_second_password_is_told_without_its_hash(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE USER u@'%' IDENTIFIED BY 'first-Pass1'",
        "ALTER USER u@'%' IDENTIFIED BY 'second-Pass1' RETAIN CURRENT PASSWORD",
    )
    attributes = mysql_server.facts()["'u'@'%'"]["attributes"]
    assert attributes["second_password"] is True
    assert attributes["empty_password"] is False


def test_roles_are_followed_as_show_grants_using_does(mysql_server: TestServer) -> None:
    mysql_server.run(
        "CREATE DATABASE d",
        "CREATE ROLE outer_role, inner_role",
        "GRANT SELECT ON d.* TO inner_role",
        "GRANT INSERT ON d.* TO outer_role",
        "GRANT inner_role TO outer_role",
        "CREATE USER u@'%'",
        "GRANT outer_role TO u@'%'",
    )
    facts = mysql_server.facts()
    reached, waiting = set(), ["'u'@'%'"]
    while waiting:
        key = waiting.pop()
        reached |= claims_of_facts(facts, key)
        waiting += [entry["role"] for entry in facts[key].get("memberships", ())]
    using = claims_of_server(mysql_server, "'u'@'%'", " USING outer_role")
    direct = {claim for claim in reached if claim[0] != "role"}
    assert direct == {claim for claim in using if claim[0] != "role"}


def test_a_database_grant_of_a_missing_nameless_account_is_everybodys(
    any_mysqld: TestServer,
) -> None:
    """The server matches such a row for every user, so it must not fall under the table."""
    any_mysqld.run(
        "CREATE DATABASE shared",
        "CREATE TABLE shared.t (a int)",
        "CREATE USER plain@localhost",
        "INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', 'shared', '', 'Y')",
        "FLUSH PRIVILEGES",
    )
    plain = pymysql.connect(unix_socket=any_mysqld.local.socket, user="plain")
    try:
        plain.query("SELECT * FROM shared.t")
    finally:
        plain.close()
    content = any_mysqld.read()
    grant = {"on": "database", "name": ["shared"], "privileges": ["SELECT"]}
    assert content.facts()["''@'%'"]["grants"] == [grant]
    account = next(account for account in content.accounts() if account.key == "''@'%'")
    assert (account.kind, account.can_login) == (AccountKind.PUBLIC, False)


@pytest.mark.parametrize(
    ("grant", "reason"),
    [
        ("SUPER ON *.*", "SUPER"),
        ("FILE ON *.*", "FILE"),
        ("SELECT ON *.*", None),
        ("PROCESS, RELOAD, REPLICATION CLIENT ON *.*", None),
        ("INSERT ON `my%`.*", "INSERT ON my%.* (grant tables)"),
        (r"INSERT ON `my\_%`.*", None),
        ("UPDATE ON mysql.db", "UPDATE ON mysql.db (grant tables)"),
        ("SELECT ON mysql.db", None),
        ("PROXY ON root@localhost", "PROXY ON root@localhost"),
        ("ALL ON other.*", None),
    ],
)
def test_who_counts_as_privileged(any_mysqld: TestServer, grant: str, reason: str | None) -> None:
    any_mysqld.run("CREATE USER u@localhost", f"GRANT {grant} TO u@localhost")
    reasons = _account(any_mysqld, "'u'@'localhost'").privileged_because
    assert reasons == ((reason,) if reason else ())


def test_a_circle_of_roles_ends() -> None:
    facts: FactsByKey = {
        "'a'@'%'": {"memberships": [{"role": "'b'@'%'"}]},
        "'b'@'%'": {
            "memberships": [{"role": "'a'@'%'"}],
            "grants": [{"on": "global", "name": [], "privileges": ["SUPER"]}],
        },
    }
    assert privileged_because(facts) == {"'a'@'%'": ("member of b@%",), "'b'@'%'": ("SUPER",)}
