from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.constants.accounts import AccountKind
from app.constants.reading import FailureKind, ScopeStatus
from app.repositories.remote.facts import (
    AccountFact,
    FactsByKey,
    ReadError,
    Receipt,
    ScopeContent,
    ServerContent,
    Target,
)
from app.repositories.remote.postgresql import connect, read_database, read_server
from app.repositories.remote.postgresql.queries import FOLDER, query
from tests.fixtures.postgresql import PostgresqlServer


def server_content(target: Target, receipt: Receipt | None = None) -> ServerContent:
    with connect(target, receipt or Receipt()) as session:
        return read_server(session)


def database_content(
    target: Target, name: str = "postgres", receipt: Receipt | None = None
) -> ScopeContent:
    content = server_content(target)
    (database,) = (found for found in content.databases if found.name == name)
    return read_database(target, database, receipt or Receipt(), content.version)


def account(content: ServerContent, name: str) -> AccountFact:
    (found,) = (fact for fact in content.accounts() if fact.name == name)
    return found


def grants_on(facts: FactsByKey, key: str, name: list[str]) -> list[dict[str, Any]]:
    return [fact for fact in facts.get(key, {}).get("grants", ()) if fact["name"] == name]


def test_every_sql_file_says_what_it_answers_and_runs_on_this_version(
    postgresql: PostgresqlServer,
) -> None:
    files = sorted(FOLDER.glob("*.sql"))
    assert files
    with postgresql.connect() as connection:
        connection.execute("SET search_path = pg_catalog")
        for file in files:
            assert file.read_text().startswith("-- ")
            if file.stem != "parameters" or postgresql.major >= 15:
                connection.execute(query(file.stem, postgresql.major).encode())


def test_a_plain_login_reads_everything_without_being_a_superuser(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher LOGIN", "CREATE ROLE boss SUPERUSER")
    postgresql.run("CREATE DATABASE app", "REVOKE CONNECT ON DATABASE app FROM PUBLIC")
    postgresql.run("GRANT CONNECT ON DATABASE app TO watcher")
    postgresql.run("CREATE TABLE secret (a int)", database="app")
    postgresql.run("GRANT SELECT (a) ON secret TO boss", database="app")
    as_superuser, as_watcher = postgresql.target(), postgresql.target("watcher")
    assert server_content(as_watcher).facts() == server_content(as_superuser).facts()
    inside = database_content(as_watcher, "app")
    assert inside.facts() == database_content(as_superuser, "app").facts()
    rights = server_content(as_watcher).rights
    assert rights["superuser"] is False
    assert rights["connect:app"] is True
    postgresql.run("REVOKE CONNECT ON DATABASE app FROM watcher")
    again = server_content(as_watcher)
    assert again.rights["connect:app"] is False
    assert again.digest != server_content(as_superuser).digest


def test_a_database_that_refuses_us_is_denied_with_the_grant_to_paste(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher LOGIN", 'CREATE DATABASE "a ""b"')
    postgresql.run('REVOKE CONNECT ON DATABASE "a ""b" FROM PUBLIC')
    with pytest.raises(ReadError) as caught:
        database_content(postgresql.target("watcher"), 'a "b')
    assert caught.value.kind is FailureKind.DENIED
    assert caught.value.status is ScopeStatus.DENIED
    assert caught.value.remedy == 'GRANT CONNECT ON DATABASE "a ""b" TO "watcher";'
    database_content(postgresql.target("watcher"))


def test_databases_that_cannot_be_looked_into_are_listed_with_the_reason(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE closed", "CREATE DATABASE broken")
    postgresql.run(
        "UPDATE pg_database SET datallowconn = false WHERE datname = 'closed'",
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'",
    )
    databases = {found.name: found for found in server_content(postgresql.target()).databases}
    assert "datallowconn" in str(databases["closed"].skip_reason)
    assert "invalid" in str(databases["broken"].skip_reason)
    assert not databases["closed"].expected_skip
    assert databases["template0"].expected_skip
    assert databases["postgres"].skip_reason is None
    with pytest.raises(ReadError) as caught:
        read_database(postgresql.target(), databases["closed"], Receipt(), "")
    assert caught.value.kind is FailureKind.NO_DATABASE


def test_attributes_of_every_kind_of_role_are_read(postgresql: PostgresqlServer) -> None:
    postgresql.run(
        "CREATE ROLE forever LOGIN VALID UNTIL 'infinity'",
        "CREATE ROLE gone LOGIN VALID UNTIL '-infinity'",
        "CREATE ROLE soon LOGIN VALID UNTIL '2031-01-01 00:00:00+08'",
        "CREATE ROLE team BYPASSRLS",
        "CREATE ROLE member IN ROLE team LOGIN",
        "GRANT pg_execute_server_program TO team",
        "CREATE ROLE deputy LOGIN IN ROLE postgres",
    )
    content = server_content(postgresql.target())
    assert account(content, "forever").expires_at == "never"
    assert account(content, "gone").expires_at == "0001-01-01T00:00:00+00:00"
    assert account(content, "soon").expires_at == "2030-12-31T16:00:00+00:00"
    assert account(content, "team").kind is AccountKind.ROLE
    assert account(content, "postgres").kind is AccountKind.USER
    assert account(content, "pg_monitor").kind is AccountKind.SYSTEM
    assert account(content, "PUBLIC").key == "0"
    assert account(content, "member").privileged_because == ("member of pg_execute_server_program",)
    assert account(content, "deputy").privileged_because == ("member of superuser postgres",)
    assert "BYPASSRLS" in account(content, "team").privileged_because
    facts = content.facts()
    assert facts[account(content, "forever").key]["attributes"]["valid_until"] == "infinity"
    assert facts[account(content, "soon").key]["attributes"]["login"] is True


@pytest.mark.parametrize("name", ["it's", 'a"b', "🐳", "名" * 21, " ", "PUBLIC", "a\\b\nc\td", "1"])
def test_any_name_is_read_as_it_is(postgresql: PostgresqlServer, name: str) -> None:
    if postgresql.major >= 19:
        name = name.replace("\n", "")  # from 19 on the server refuses a newline in such a name
    quoted = '"' + name.replace('"', '""') + '"'
    postgresql.run(f"CREATE ROLE {quoted}", f"CREATE DATABASE {quoted} OWNER {quoted}")
    content = server_content(postgresql.target())
    found = [fact for fact in content.accounts() if fact.name == name and fact.key != "0"]
    assert len(found) == 1
    assert {"on": "database", "name": [name]} in content.facts()[found[0].key]["owns"]
    database_content(postgresql.target(), name)


def test_a_renamed_role_keeps_its_key_and_a_recreated_one_does_not(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE one")
    first = server_content(postgresql.target())
    postgresql.run("ALTER ROLE one RENAME TO two")
    second = server_content(postgresql.target())
    postgresql.run("DROP ROLE two", "CREATE ROLE two")
    third = server_content(postgresql.target())
    assert account(second, "two").key == account(first, "one").key
    assert account(third, "two").key != account(second, "two").key
    assert len({first.digest, second.digest, third.digest}) == 3


def test_a_recreated_role_with_the_same_grants_changes_the_digest_of_the_database(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app", "CREATE ROLE one")
    postgresql.run("CREATE TABLE t (a int)", "GRANT SELECT ON t TO one", database="app")
    first = database_content(postgresql.target(), "app")
    assert database_content(postgresql.target(), "app").digest == first.digest
    postgresql.run("DROP OWNED BY one", "DROP ROLE one", "CREATE ROLE one", database="app")
    postgresql.run("GRANT SELECT ON t TO one", database="app")
    second = database_content(postgresql.target(), "app")
    assert second.digest != first.digest
    assert second.facts().keys() != first.facts().keys()


def test_an_acl_that_was_never_touched_grants_what_the_engine_grants_by_default(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app")
    postgresql.run(
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE DOMAIN d AS int",
        "REVOKE DELETE ON t FROM postgres",
        database="app",
    )
    facts = database_content(postgresql.target(), "app").facts()
    by = {"by": "10"}
    assert grants_on(facts, "0", ["public", "f()"]) == [
        {"on": "function", "name": ["public", "f()"], "privileges": ["EXECUTE"], **by}
    ]
    assert grants_on(facts, "0", ["public", "d"])[0]["privileges"] == ["USAGE"]
    assert {"on": "function", "name": ["public", "f()"]} in facts["10"]["owns"]
    assert {"on": "table", "name": ["public", "t"], "reduced": True} in facts["10"]["owns"]
    assert "DELETE" not in grants_on(facts, "10", ["public", "t"])[0]["privileges"]
    server = server_content(postgresql.target()).facts()
    assert grants_on(server, "0", ["app"])[0]["privileges"] == ["CONNECT", "TEMPORARY"]


def test_built_in_objects_are_told_only_where_they_were_changed(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app", "CREATE ROLE one")
    untouched = database_content(postgresql.target(), "app").facts()
    assert untouched.keys() <= {"0", "10", "6171"}
    assert len(untouched["0"]["grants"]) <= 1
    postgresql.run(
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO one",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC",
        database="app",
    )
    facts = database_content(postgresql.target(), "app").facts()
    key = account(server_content(postgresql.target()), "one").key
    assert [fact["name"] for fact in facts[key]["grants"]] == [["pg_catalog", "pg_ls_dir(text)"]]
    assert facts["0"]["revokes"] == [
        {
            "on": "function",
            "name": ["pg_catalog", "pg_sleep(double precision)"],
            "privileges": ["EXECUTE"],
        }
    ]


def test_a_grantee_that_no_longer_exists_is_kept_under_its_key(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app", "CREATE ROLE ghost")
    postgresql.run("CREATE TABLE t (a int)", "GRANT SELECT ON t TO ghost", database="app")
    key = account(server_content(postgresql.target()), "ghost").key
    postgresql.run("DELETE FROM pg_authid WHERE rolname = 'ghost'")
    facts = database_content(postgresql.target(), "app").facts()
    assert facts[key]["grants"][0]["privileges"] == ["SELECT"]


def test_nothing_in_a_hostile_database_can_change_what_is_read(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app")
    before = database_content(postgresql.target(), "app").facts()
    postgresql.run(
        "CREATE SCHEMA evil",
        "CREATE TABLE evil.pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0",
        "CREATE FUNCTION evil.no(name, name) RETURNS bool LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, PROCEDURE = evil.no)",
        "CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE sql AS "
        "'SELECT (1/0)::text'",
        "ALTER DATABASE app SET search_path = evil, pg_catalog",
        "ALTER DATABASE app SET quote_all_identifiers = on",
        "ALTER DATABASE app SET DateStyle = German",
        "ALTER DATABASE app SET statement_timeout = 1",
        database="app",
    )
    after = database_content(postgresql.target(), "app").facts()
    hidden = [fact for fact in after["10"]["owns"] if fact["name"][0] == "evil"]
    assert len(hidden) >= 3
    kept = [fact for fact in before["0"]["grants"] if fact in after["0"]["grants"]]
    assert kept == before["0"]["grants"]


def test_the_number_of_queries_does_not_depend_on_the_number_of_accounts(
    postgresql: PostgresqlServer,
) -> None:
    spent = []
    for roles in (10, 1000):
        postgresql.run(
            "DO $$ BEGIN FOR i IN 1.."
            f"{roles} LOOP EXECUTE format('CREATE ROLE r_{roles}_%s', i); "
            f"EXECUTE format('CREATE TABLE t_{roles}_%s (); GRANT SELECT ON t_{roles}_%s TO "
            f"r_{roles}_%s', i, i, i); END LOOP; END $$"
        )
        receipt = Receipt()
        content = server_content(postgresql.target(), receipt)
        read_database(postgresql.target(), content.databases[-1], receipt, content.version)
        spent.append(receipt)
    postgresql.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    assert spent[0].queries == spent[1].queries
    assert spent[1].rows > spent[0].rows + 1900
    assert spent[1].bytes > spent[0].bytes


def test_a_session_is_read_only_and_says_who_it_is(postgresql: PostgresqlServer) -> None:
    with connect(postgresql.target(), Receipt()) as session:
        read_server(session)
        seen = "SELECT query FROM pg_stat_activity WHERE application_name = 'whalefall'"
        (said,) = postgresql.fetch(seen)
        assert said[0].startswith("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        read_server(session)


def test_a_locked_catalog_ends_by_the_lock_timeout(postgresql: PostgresqlServer) -> None:
    target = replace(postgresql.target(), lock_timeout_seconds=0.2)
    with postgresql.connect() as other, other.transaction():
        other.execute("LOCK TABLE pg_catalog.pg_largeobject_metadata IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ReadError) as caught:
            database_content(target)
    assert caught.value.kind is FailureKind.LOCKED
    assert caught.value.transient


def test_a_slow_answer_ends_by_the_statement_timeout(postgresql: PostgresqlServer) -> None:
    target = replace(postgresql.target(), statement_timeout_seconds=0.3, lock_timeout_seconds=30.0)
    with postgresql.connect() as other, other.transaction():
        other.execute("LOCK TABLE pg_catalog.pg_largeobject_metadata IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ReadError) as caught:
            database_content(target)
    assert caught.value.kind is FailureKind.STATEMENT_TIMEOUT
    assert "large objects" in caught.value.message


def test_a_session_killed_in_the_middle_is_lost_and_no_answer(
    postgresql: PostgresqlServer,
) -> None:
    target = replace(postgresql.target(), lock_timeout_seconds=30.0)

    def kill() -> None:
        for _ in range(200):
            time.sleep(0.02)
            killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
            if postgresql.fetch(killed + "wait_event_type = 'Lock'"):
                return

    with postgresql.connect() as other, other.transaction():
        other.execute("LOCK TABLE pg_catalog.pg_largeobject_metadata IN ACCESS EXCLUSIVE MODE")
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ReadError) as caught:
            database_content(target)
        killer.join()
    assert caught.value.kind is FailureKind.LOST


def test_a_catalog_that_was_closed_to_us_is_denied_with_the_grant_to_paste(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher LOGIN", "CREATE DATABASE app")
    postgresql.run("REVOKE SELECT ON pg_catalog.pg_proc FROM PUBLIC", database="app")
    with pytest.raises(ReadError) as caught:
        database_content(postgresql.target("watcher"), "app")
    assert caught.value.kind is FailureKind.DENIED
    assert caught.value.remedy == 'GRANT SELECT ON pg_catalog.pg_proc TO "watcher";'


def test_nothing_is_taken_from_the_environment(postgresql: PostgresqlServer) -> None:
    target = postgresql.target()
    script = f"""
from app.repositories.remote.postgresql import connect, read_server
from app.repositories.remote.facts import Receipt, Target
from app.constants.engines import Engine
target = Target(Engine.POSTGRESQL, {target.host!r}, {target.port}, "postgres", "")
with connect(target, Receipt()) as session:
    print(read_server(session).version)
"""
    hostile = {
        "PGHOSTADDR": "127.0.0.9",
        "PGSERVICE": "elsewhere",
        "PGOPTIONS": "-c statement_timeout=1 -c no_such_setting=1",
        "PGSSLMODE": "verify-full",
        "PGREQUIREAUTH": "none",
        "PGREQUIREPEER": "nobody-at-all",
        "PGPASSFILE": "/dev/null",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCLIENTENCODING": "LATIN1",
        "PGCHANNELBINDING": "require",
        "PGMINPROTOCOLVERSION": "3.2",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **hostile},
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{postgresql.major}."), done.stderr


def test_a_database_that_took_the_name_of_another_is_not_read_in_its_place(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE once")
    target, receipt = postgresql.target(), Receipt()
    with connect(target, receipt) as session:
        listed = read_server(session)
    (database,) = (found for found in listed.databases if found.name == "once")
    postgresql.run("DROP DATABASE once", "CREATE DATABASE once")
    with pytest.raises(ReadError) as caught:
        read_database(target, database, receipt, listed.version)
    assert caught.value.kind is FailureKind.NO_DATABASE
