from __future__ import annotations

from collections.abc import Callable

import pymysql
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.constants.engines import Engine
from app.repositories.remote.mysql.names import identifier, literal
from tests.fixtures.mysql import MATRIX, TestServer, comparable
from tests.repositories.remote.mysql.show_grants import claims_of_facts, claims_of_server

Pair = Callable[[], tuple[TestServer, TestServer]]

NAMES = st.text(alphabet="ab'`\\%_ \"@,鲸é", min_size=0, max_size=6).map(str.strip)
ROLE_NAMES = NAMES.filter(bool).map(lambda name: f"r{name}")
HOSTS = st.sampled_from(["%", "localhost", "10.%", "10.0.0.0/255.0.0.0", "::1", "a\\_b.%", "h-_.x"])
DATABASES = ["d1", "d_2", "we`ird 鲸"]
PATTERNS = ["d1", "d\\_2", "d_2", "d%", "%", "mysql", "we`ird 鲸", "a'b\\%"]
TABLES = ["t", "ta`ble's"]
DATABASE_WORDS = [
    "SELECT",
    "INSERT",
    "CREATE TEMPORARY TABLES",
    "SHOW VIEW",
    "EVENT",
    "ALL",
    "USAGE",
]
TABLE_WORDS = ["SELECT", "UPDATE", "CREATE VIEW", "TRIGGER", "ALL", "USAGE"]
GLOBAL_WORDS = ["SELECT", "INSERT", "SUPER", "FILE", "PROCESS", "SHOW DATABASES", "USAGE", "EVENT"]
OWN_WORDS = {
    Engine.MYSQL: ["ROLE_ADMIN", "CONNECTION_ADMIN", "BACKUP_ADMIN", "CREATE ROLE"],
    Engine.MARIADB: ["BINLOG ADMIN", "READ_ONLY ADMIN", "DELETE HISTORY", "SLAVE MONITOR", "ALL"],
}


@st.composite
def worlds(draw: st.DrawFn, engine: Engine, *, public: bool, proxies: bool) -> list[str]:
    """Draw the statements that make some accounts, roles and grants of every kind.

    The server refuses some of them (a role granted to itself …): then they just do not count.
    """
    role_names = draw(st.lists(ROLE_NAMES, min_size=1, max_size=3, unique_by=str.lower))
    users = [
        f"{literal(user)}@{literal(host)}"
        for user, host in draw(
            st.lists(st.tuples(NAMES, HOSTS), min_size=1, max_size=4, unique=True)
        )
    ]
    statements = [_creation(draw, engine, user) for user in users]
    if engine is Engine.MYSQL:
        roles = [f"{literal(name)}@'%'" for name in role_names]
    else:
        roles = [identifier(name) for name in role_names]
    statements += [f"CREATE ROLE {role}" for role in roles]
    everyone = [*users, *roles, *(["PUBLIC"] if public else [])]
    for _ in range(draw(st.integers(1, 12))):
        statement = _grant(draw, engine, everyone, users, roles)
        if proxies or "PROXY" not in statement:
            statements.append(statement)
    if engine is Engine.MYSQL and draw(st.booleans()):
        statements.append("SET GLOBAL partial_revokes = ON")
        for user in users:
            statements += [
                f"GRANT SELECT, INSERT ON *.* TO {user}",
                f"REVOKE INSERT ON {identifier(draw(st.sampled_from(DATABASES)))}.* FROM {user}",
            ]
    if engine is Engine.MYSQL and draw(st.booleans()):
        statements.append(f"SET GLOBAL mandatory_roles = {literal(roles[0])}")
        statements.append(f"SET DEFAULT ROLE {roles[0]} TO {users[0]}")
    return statements


def _creation(draw: st.DrawFn, engine: Engine, user: str) -> str:
    clauses = [f"CREATE USER {user}"]
    if draw(st.booleans()):
        clauses.append("IDENTIFIED BY 'a Secret-42'")
    clauses.append(
        draw(
            st.sampled_from(
                ["", "REQUIRE SSL", "REQUIRE X509", "REQUIRE SUBJECT '/CN=it''s' AND CIPHER 'AES'"]
            )
        )
    )
    clauses.append(
        draw(st.sampled_from(["", "WITH MAX_USER_CONNECTIONS 3 MAX_QUERIES_PER_HOUR 9"]))
    )
    policies = ["", "PASSWORD EXPIRE", "PASSWORD EXPIRE NEVER", "PASSWORD EXPIRE INTERVAL 30 DAY"]
    if engine is Engine.MYSQL:
        policies += ["FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED", "PASSWORD HISTORY 5"]
        policies += ["PASSWORD REQUIRE CURRENT OPTIONAL PASSWORD REUSE INTERVAL 9 DAY"]
    clauses.append(draw(st.sampled_from(policies)))
    clauses.append(draw(st.sampled_from(["", "ACCOUNT LOCK"])))
    if engine is Engine.MYSQL:
        clauses.append(draw(st.sampled_from(["", """ATTRIBUTE '{"team": "it''s 鲸"}'"""])))
    return " ".join(clauses)


def _grant(
    draw: st.DrawFn, engine: Engine, everyone: list[str], users: list[str], roles: list[str]
) -> str:
    to = draw(st.sampled_from(everyone))
    database = identifier(draw(st.sampled_from(DATABASES)))
    table = f"{database}.{identifier(draw(st.sampled_from(TABLES)))}"
    option = draw(st.sampled_from(["", " WITH GRANT OPTION"])) if to != "PUBLIC" else ""
    kind = draw(
        st.sampled_from(
            ["global", "database", "table", "column", "routine", "proxy", "role", "default"]
        )
    )
    if kind == "global" and to != "PUBLIC":
        words = _some(draw, GLOBAL_WORDS + OWN_WORDS[engine])
        return f"GRANT {words} ON *.* TO {to}{option}"
    if kind == "table":
        return f"GRANT {_some(draw, TABLE_WORDS)} ON {table} TO {to}{option}"
    if kind == "column":
        return f"GRANT SELECT (`a`), UPDATE (`b ``x`), INSERT (`a`) ON {table} TO {to}{option}"
    if kind == "routine" and to.isascii():  # else see test_names.py
        database = draw(st.sampled_from(["d1", "d_2"]))
        what = draw(st.sampled_from([f"FUNCTION {database}.`f`", f"PROCEDURE {database}.`p'q`"]))
        words = draw(st.sampled_from(["EXECUTE", "ALTER ROUTINE"]))
        return f"GRANT {words} ON {what} TO {to}{option}"
    if kind == "proxy":
        whom, who = draw(st.sampled_from(users)), draw(st.sampled_from(users))
        return f"GRANT PROXY ON {whom} TO {who}{option}"
    if kind == "role":
        admin = draw(st.sampled_from(["", " WITH ADMIN OPTION"])) if to != "PUBLIC" else ""
        return f"GRANT {draw(st.sampled_from(roles))} TO {to}{admin}"
    if kind == "default":
        word = "TO" if engine is Engine.MYSQL else "FOR"
        role, user = draw(st.sampled_from(roles)), draw(st.sampled_from(users))
        return f"SET DEFAULT ROLE {role} {word} {user}"
    pattern = identifier(draw(st.sampled_from(PATTERNS)))
    return f"GRANT {_some(draw, DATABASE_WORDS)} ON {pattern}.* TO {to}{option}"


def _some(draw: st.DrawFn, words: list[str]) -> str:
    chosen = draw(st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True))
    alone = {"ALL", "USAGE"} & set(chosen)
    return min(alone) if alone else ", ".join(chosen)


SYNTAX_ERROR = 1064
OBJECTS = [
    statement
    for database in map(identifier, DATABASES)
    for statement in (
        f"CREATE DATABASE IF NOT EXISTS {database}",
        *(
            f"CREATE TABLE IF NOT EXISTS {database}.{identifier(t)} (a int, `b ``x` int)"
            for t in TABLES
        ),
        f"CREATE FUNCTION IF NOT EXISTS {database}.f() RETURNS int DETERMINISTIC RETURN 1",
        f"CREATE PROCEDURE IF NOT EXISTS {database}.`p'q`() SELECT 1",
    )
]


def test_facts_rebuild_the_same_access_and_say_what_show_grants_says(two_mysqlds: Pair) -> None:
    first, second = two_mysqlds()
    for server in (first, second):
        server.run(*OBJECTS)
    # MariaDB 10.5 does not show every PROXY that it has stored.
    proxies = first.version >= (10, 6) or first.engine is Engine.MYSQL
    public = first.engine is Engine.MARIADB and first.version >= (10, 11)

    @settings(
        max_examples=60 if MATRIX else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=(Phase.generate,),  # shrinking would start servers' worth of work for a few words
    )
    @given(statements=worlds(first.engine, public=public, proxies=proxies))
    def check(statements: list[str]) -> None:
        source, empty = two_mysqlds()
        for statement in statements:
            _try(source, statement)
        source.run("FLUSH PRIVILEGES")  # now what the server has in memory is what its tables say
        content = source.read()
        assert content.missing == ()
        facts = content.facts()
        for account in content.accounts():
            if not account.key.startswith("@@"):
                assert claims_of_facts(facts, account.key) == claims_of_server(source, account.key)
        empty.run(*source.statements())
        assert comparable(empty.facts()) == comparable(facts)

    check()


def _try(server: TestServer, statement: str) -> None:
    try:
        server.run(statement)
    except pymysql.err.MySQLError as exc:
        if exc.args[0] == SYNTAX_ERROR:  # then the test does not say what it means to say
            raise
