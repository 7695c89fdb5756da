"""What cannot be measured is said so, and loses nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Receipt
from app.repositories.remote.postgresql import connect, read_database_sizes
from app.repositories.remote.postgresql.sizes_measuring import measure
from app.repositories.remote.sizes import Budget
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.sizing import (
    by_name,
    database_fact,
    database_sizes,
    impatient,
    server_sizes,
    tablespace,
)

TABLES = ("one", "two", "three", "four", "five")


@pytest.fixture
def app(postgresql: PostgresqlServer) -> PostgresqlServer:
    """A database of five tables with TOAST and an index, each of 20 pages."""
    postgresql.run("CREATE DATABASE app")
    for name in TABLES:
        postgresql.run(
            f"CREATE TABLE {name} (a int PRIMARY KEY, b text)",
            f"INSERT INTO {name} SELECT g, repeat('x', 100) FROM generate_series(1, 1000) AS g",
            database="app",
        )
    return postgresql


@contextmanager
def holding(server: PostgresqlServer, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """Keep a transaction open that has run some statements."""
    with server.connect("app") as other, other.transaction():
        for statement in statements:
            other.execute(statement.encode())
        yield other


def test_a_denied_database_loses_no_other_and_says_which_grant_opens_it(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher LOGIN", "CREATE DATABASE app", "CREATE DATABASE open")
    postgresql.run("REVOKE CONNECT ON DATABASE app FROM PUBLIC")
    watcher = postgresql.target("watcher")
    databases = {one.database.name: one for one in server_sizes(watcher).databases}
    denied = databases.pop("app")
    assert denied.total_bytes is None
    assert denied.unsized is not None
    assert denied.unsized.kind is FailureKind.DENIED
    assert all(one.total_bytes for one in databases.values())
    assert denied.unsized.remedy == 'GRANT pg_read_all_stats TO "watcher";'
    postgresql.run(denied.unsized.remedy)
    again = {one.database.name: one for one in server_sizes(watcher).databases}
    assert (again["app"].total_bytes or 0) > 1_000_000
    assert again["app"].unsized is None


def test_a_denied_tablespace_loses_no_other(postgresql: PostgresqlServer) -> None:
    tablespace(postgresql, "side")
    postgresql.run("CREATE ROLE watcher LOGIN")
    watcher = postgresql.target("watcher")
    storages = {one.name: one for one in server_sizes(watcher).storages}
    assert (storages["pg_default"].used_bytes or 0) > 1_000_000
    for name in ("side", "pg_global"):
        unsized = storages[name].unsized
        assert unsized is not None
        assert unsized.kind is FailureKind.DENIED
    postgresql.run("GRANT CREATE ON TABLESPACE side TO watcher")
    storages = {one.name: one for one in server_sizes(watcher).storages}
    assert storages["side"].used_bytes is not None
    assert storages["pg_global"].used_bytes is None
    postgresql.run("GRANT pg_read_all_stats TO watcher")
    assert all(one.used_bytes is not None for one in server_sizes(watcher).storages)


def test_a_slow_database_loses_no_other(app: PostgresqlServer) -> None:
    folder = app.data / "base" / database_fact(app, "app").key
    if not os.access(folder, os.W_OK | os.X_OK):
        pytest.skip(f"{folder} is not writable by us: run as root or as its owner")
    app.run("CREATE DATABASE later")
    for number in range(15_000):
        (folder / f"file{number}").touch()
    started = time.monotonic()
    app.fetch(f"SELECT pg_database_size({folder.name})")
    took = time.monotonic() - started
    sizes = server_sizes(impatient(app.target(), statement=took / 4))
    databases = {one.database.name: one for one in sizes.databases}
    slow = databases.pop("app")
    assert slow.unsized is not None
    assert slow.unsized.kind is FailureKind.STATEMENT_TIMEOUT
    assert set(databases) == {"template0", "template1", "postgres", "later"}
    assert all(one.total_bytes for one in databases.values())
    assert sum(one.used_bytes is not None for one in sizes.storages) == 1  # pg_default is as slow


def test_a_database_whose_files_are_away_is_not_taken_for_empty(app: PostgresqlServer) -> None:
    folder = app.data / "base" / database_fact(app, "app").key
    if not os.access(folder.parent, os.W_OK | os.X_OK):
        pytest.skip(f"{folder.parent} is not writable by us: run as root or as its owner")
    folder.rename(folder.with_name("away"))
    try:
        (lost,) = (
            one for one in server_sizes(app.target()).databases if one.database.name == "app"
        )
    finally:
        folder.with_name("away").rename(folder)
    assert lost.total_bytes is None
    assert lost.unsized is not None
    assert "none of its files" in lost.unsized.message


def test_what_was_dropped_meanwhile_is_gone_and_no_error(app: PostgresqlServer) -> None:
    with connect(app.target(), Receipt()) as session:
        said = {
            one.key: one.state
            for one in measure(session, "database_sizes", ["1", "99999999", "4"], lambda: None)
        }
    assert said["99999999"] == "gone"
    assert {said["1"], said["4"]} <= {"sized"} or app.major < 15  # template0 is 4 from 15 on
    before = by_name(database_sizes(app))
    dropped = database_sizes(
        app, checkpoint=lambda: app.run("DROP TABLE IF EXISTS three", database="app")
    )
    after = by_name(dropped)
    assert set(before) - set(after) == {"three"}
    assert after["four"].total_bytes == before["four"].total_bytes
    assert dropped.missing == ()


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE two IN ACCESS EXCLUSIVE MODE",
        "REINDEX INDEX two_pkey",
        "ALTER TABLE two ADD COLUMN c int DEFAULT 1",
        "TRUNCATE two",
        "REINDEX TABLE {toast}",
    ],
)
def test_a_locked_table_is_left_out_without_waiting_and_says_who_locked_it(
    app: PostgresqlServer, lock: str
) -> None:
    ((toast,),) = app.fetch(
        "SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'two'", "app"
    )
    before = by_name(database_sizes(app))
    with holding(app, lock.format(toast=toast)) as other:
        started = time.monotonic()
        sizes = by_name(database_sizes(app, target=impatient(app.target(), lock=30)))
        assert time.monotonic() - started < 20
        pid = other.info.backend_pid
    assert set(sizes) == set(before)
    locked = sizes.pop("two")
    assert locked.total_bytes is None
    assert locked.exact_at is None
    assert locked.unsized is not None
    assert locked.unsized.kind is FailureKind.LOCKED
    assert locked.unsized.message.startswith(f"session {pid} of postgres, in a transaction since 2")
    assert locked.unsized.message.endswith("has locked it against everybody")
    for name in TABLES:
        if name != "two":
            assert sizes[name].total_bytes == before[name].total_bytes
    assert by_name(database_sizes(app))["two"].unsized is None


def test_nobody_waits_behind_somebody_who_waits_to_lock_a_table(app: PostgresqlServer) -> None:
    def alter() -> None:
        app.run("ALTER TABLE two ADD COLUMN c int", database="app")

    with holding(app, "SELECT * FROM two LIMIT 1"):
        waiting = threading.Thread(target=alter)
        waiting.start()
        queued = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
        while not app.fetch(queued):
            time.sleep(0.01)
        sizes = by_name(database_sizes(app, target=impatient(app.target(), lock=30)))
    waiting.join()
    assert sizes["two"].unsized is not None
    assert "waits to lock it" in sizes["two"].unsized.message
    assert sizes["three"].total_bytes


def test_a_plain_login_learns_who_locked_a_table_as_well(app: PostgresqlServer) -> None:
    app.run("CREATE ROLE watcher LOGIN")
    with holding(app, "LOCK TABLE two IN ACCESS EXCLUSIVE MODE"):
        two = by_name(database_sizes(app, target=app.target("watcher")))["two"]
    assert two.unsized is not None
    assert "of postgres" in two.unsized.message


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [
        ({"lock": 0.2, "statement": 30.0}, FailureKind.LOCKED),
        ({"lock": 30.0, "statement": 0.8}, FailureKind.STATEMENT_TIMEOUT),
    ],
)
def test_a_table_that_cannot_be_opened_for_a_reason_nobody_foresaw_loses_no_other(
    app: PostgresqlServer, seconds: dict[str, float], kind: FailureKind
) -> None:
    """Whoever opens a table with a trigger reads pg_trigger: lock that, and nothing shows why."""
    app.run(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER t BEFORE INSERT ON two FOR EACH ROW EXECUTE FUNCTION nothing()",
        "CREATE TRIGGER t BEFORE INSERT ON four FOR EACH ROW EXECUTE FUNCTION nothing()",
        database="app",
    )
    before = by_name(database_sizes(app))
    with holding(app, "LOCK TABLE pg_catalog.pg_trigger IN ACCESS EXCLUSIVE MODE"):
        after = by_name(database_sizes(app, target=impatient(app.target(), **seconds)))
    assert set(after) == set(before)
    for name, one in after.items():
        if name in {"two", "four", "system catalogs"}:
            assert one.total_bytes is None
            assert one.unsized is not None
            assert one.unsized.kind is kind
        else:
            assert one.total_bytes == before[name].total_bytes
            assert one.unsized is None


def test_if_no_size_may_be_asked_for_at_all_it_is_an_error_and_not_many(
    app: PostgresqlServer,
) -> None:
    app.run("CREATE ROLE watcher LOGIN")
    app.run(
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_relation_size(regclass, text) FROM PUBLIC",
        database="app",
    )
    with pytest.raises(ReadError) as caught:
        database_sizes(app, target=app.target("watcher"))
    assert caught.value.kind is FailureKind.DENIED


def test_a_session_killed_in_the_middle_is_lost_and_no_answer(app: PostgresqlServer) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "'whalefall'"
    )
    with pytest.raises(ReadError) as caught:
        database_sizes(app, checkpoint=lambda: app.run(kill))
    assert caught.value.kind is FailureKind.LOST


def test_a_checkpoint_that_raises_ends_the_reading(app: PostgresqlServer) -> None:
    class NobodyWantsItError(Exception):
        pass

    def give_up() -> None:
        raise NobodyWantsItError

    with pytest.raises(NobodyWantsItError):
        database_sizes(app, checkpoint=give_up)
    assert app.fetch("SELECT 1 FROM pg_stat_activity WHERE application_name = 'whalefall'") == []


def test_a_database_that_took_the_name_of_another_is_not_sized_in_its_place(
    app: PostgresqlServer,
) -> None:
    once = database_fact(app, "app")
    app.run("DROP DATABASE app WITH (FORCE)", "CREATE DATABASE app")
    with pytest.raises(ReadError) as caught:
        read_database_sizes(app.target(), once, {}, Budget(9), Receipt(), "", lambda: None)
    assert caught.value.kind is FailureKind.NO_DATABASE
    with pytest.raises(ReadError) as caught:
        read_database_sizes(
            app.target(), replace(once, name="never"), {}, Budget(9), Receipt(), "", lambda: None
        )
    assert caught.value.kind is FailureKind.NO_DATABASE
