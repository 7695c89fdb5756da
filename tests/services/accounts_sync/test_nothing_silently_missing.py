"""A failure, a lost right or a time-out never reads as "removed" or "revoked"."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from app.config import Settings
from app.services.accounts.accounts_service import accounts_service
from tests.services.accounts_sync.conftest import MONITOR, Watched


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Short time-outs, one attempt: each failure is the one that the test makes."""
    return Settings(
        database_url=store_url,
        data_dir=tmp_path / "data",
        statement_timeout_seconds=1,
        lock_timeout_seconds=0.5,
        connect_timeout_seconds=3,
        item_attempts=1,
        databases_at_once=2,
    )


@pytest.fixture
def filled(watched: Watched) -> Watched:
    watched.run("CREATE ROLE readers", *(f"CREATE ROLE person{n} LOGIN" for n in range(8)))
    watched.run(*(f"GRANT readers TO person{n}" for n in range(8)))
    for database in watched.databases:
        watched.run("GRANT SELECT ON items TO readers, person1", database=database)
    assert watched.sync() == "succeeded"
    return watched


@contextmanager
def locked(watched: Watched, table: str, database: str) -> Iterator[None]:
    with (
        psycopg.connect(watched.server.conninfo, dbname=database) as connection,
        connection.transaction(),
    ):
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_database_that_refuses_us_loses_nothing_and_says_what_to_grant(filled: Watched) -> None:
    before = filled.ledger()
    filled.run("REVOKE CONNECT ON DATABASE crm FROM PUBLIC")
    assert filled.sync() == "partial"
    assert [row for row in filled.ledger() if row.database] == [r for r in before if r.database]
    assert filled.scopes()["crm"][0] == "denied"
    assert filled.scopes()["orders"] == ("full", None)
    (observation,) = filled.rows("SELECT remedy FROM scope_observations WHERE status = 'denied'")
    assert "GRANT CONNECT" in observation.remedy
    kinds = {kind for kind, _ in filled.changes()}
    assert "account_removed" not in kinds
    assert "rights_lost" in kinds
    filled.run("GRANT CONNECT ON DATABASE crm TO PUBLIC")
    assert filled.sync() == "succeeded"
    assert filled.ledger() == before


def test_a_database_that_takes_no_connections_is_not_gone(filled: Watched) -> None:
    before = filled.ledger()
    filled.run("ALTER DATABASE crm ALLOW_CONNECTIONS false")
    assert filled.sync() == "partial"
    status, reason = filled.scopes()["crm"]
    assert status == "skipped"
    assert reason
    filled.run("ALTER DATABASE crm ALLOW_CONNECTIONS true")
    assert filled.sync() == "succeeded"
    assert filled.ledger() == before


def test_the_template_that_nobody_may_enter_makes_no_run_partial(filled: Watched) -> None:
    assert filled.scopes()["template0"][0] == "skipped"
    assert filled.item().state == "succeeded"


def test_a_lost_right_is_told_once_and_its_return_too(filled: Watched) -> None:
    filled.run("REVOKE CONNECT ON DATABASE crm FROM PUBLIC")
    filled.sync()
    filled.sync()
    assert [kind for kind, _ in filled.changes()].count("rights_lost") == 1
    filled.run(f"GRANT CONNECT ON DATABASE crm TO {MONITOR}")
    filled.sync()
    assert [kind for kind, _ in filled.changes()].count("rights_gained") == 1


def test_a_list_of_accounts_that_cannot_be_read_concludes_nothing(filled: Watched) -> None:
    before = filled.ledger()
    with locked(filled, "pg_auth_members", "postgres"):
        assert filled.sync() == "failed"
    assert filled.item().error_code == "locked"
    assert filled.scopes()["server"][0] == "failed"
    assert filled.ledger() == before
    assert filled.changes() == []
    assert filled.sync() == "succeeded"
    assert filled.changes() == []


def test_a_database_whose_catalogue_is_locked_costs_no_other_database(filled: Watched) -> None:
    before = filled.ledger()
    filled.run("GRANT UPDATE ON items TO person2", database="orders")
    with locked(filled, "pg_attribute", "crm"):
        assert filled.sync() == "partial"
    assert filled.scopes()["crm"][0] == "failed"
    assert filled.scopes()["orders"][0] == "full"
    assert filled.changes() == [("access_changed", "person2")]
    assert [r for r in filled.ledger() if r.database == "crm"] == [
        r for r in before if r.database == "crm"
    ]


def test_a_statement_timeout_concludes_nothing(filled: Watched) -> None:
    before = filled.ledger()
    filled.run("GRANT UPDATE ON items TO person2", database="crm")
    filled.run(f"ALTER ROLE {MONITOR} SET lock_timeout = 0")
    try:
        with locked(filled, "pg_attribute", "crm"):
            assert filled.sync() == "partial"
    finally:
        filled.run(f"ALTER ROLE {MONITOR} RESET lock_timeout")
    assert filled.changes() == []
    assert filled.ledger() == before


def test_connections_cut_again_and_again_conclude_nothing(filled: Watched) -> None:
    before = filled.ledger()
    stop = threading.Event()

    def cut() -> None:
        with psycopg.connect(filled.server.conninfo, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = %s AND datname = 'crm'",
                    (MONITOR,),
                )
                time.sleep(0.001)

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        states = [filled.sync() for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert "partial" in states
    assert filled.ledger() == before
    assert filled.changes() == []
    assert filled.sync() == "succeeded"
    assert filled.changes() == []


def test_a_server_that_dies_in_the_middle_concludes_nothing(filled: Watched) -> None:
    names = [f"d{n:02}" for n in range(12)]
    filled.run(*(f"CREATE DATABASE {name}" for name in names))
    filled.sync()
    before = filled.ledger()
    changes = filled.changes()
    died = threading.Event()

    def kill_when_seen() -> None:
        with psycopg.connect(filled.server.conninfo, autocommit=True) as connection:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname ~ '^d0'",
                    (MONITOR,),
                ).fetchone()
                if row and row[0]:
                    break
                time.sleep(0.002)
            postmaster = connection.execute(
                "SELECT pg_read_file('postmaster.pid', 0, 20)"
            ).fetchone()
        assert postmaster
        os.kill(int(postmaster[0].split()[0]), signal.SIGQUIT)
        died.set()

    thread = threading.Thread(target=kill_when_seen)
    thread.start()
    state = filled.sync()
    thread.join()
    assert died.is_set()
    assert state in {"partial", "failed"}
    assert filled.ledger() == before
    assert filled.changes() == changes
    filled.server.stop()
    filled.server.start()
    assert filled.sync() == "succeeded"
    assert filled.changes() == changes
    filled.run(*(f"DROP DATABASE {name}" for name in names))


def _drop_people(watched: Watched, count: int) -> None:
    for n in range(count):
        for database in watched.databases:
            watched.run(f"DROP OWNED BY extra{n}", database=database)
        watched.run(f"DROP ROLE extra{n}")


def _add_people(watched: Watched, count: int) -> None:
    watched.run(*(f"CREATE ROLE extra{n} LOGIN" for n in range(count)))
    for n in range(count):
        watched.run(f"GRANT SELECT ON items TO extra{n}", database="orders")


def test_a_mass_removal_is_held_until_somebody_confirms_it(filled: Watched) -> None:
    _add_people(filled, 12)
    filled.sync()
    before = filled.ledger()
    _drop_people(filled, 12)
    assert filled.sync() == "partial"
    assert filled.item().error_code == "mass_removal_held"
    assert filled.ledger() == before
    (held,) = accounts_service.list_held()
    assert (held.instance, len(held.accounts)) == ("pg", 12)
    assert filled.sync() == "partial"
    kinds = [kind for kind, _ in filled.changes()]
    assert kinds.count("removal_held") == 1
    assert "account_removed" not in kinds

    assert accounts_service.confirm_removal("pg", "tester") == 12
    assert {f"extra{n}" for n in range(12)} & filled.accounts() == set()
    assert [kind for kind, _ in filled.changes()].count("account_removed") == 12
    (row,) = filled.rows(
        "SELECT DISTINCT removed_at FROM accounts WHERE starts_with(name, 'extra')"
    )
    assert row.removed_at == held.held_at
    assert filled.sync() == "succeeded"


def test_a_held_removal_dissolves_when_the_accounts_return(filled: Watched) -> None:
    _add_people(filled, 12)
    filled.run("CREATE TABLE saved (LIKE pg_authid)")
    filled.sync()
    before = filled.ledger()
    filled.run(
        "INSERT INTO saved SELECT * FROM pg_authid WHERE rolname LIKE 'extra%'",
        "SET allow_system_table_mods = on",
        "DELETE FROM pg_authid WHERE rolname LIKE 'extra%'",
    )
    assert filled.sync() == "partial"
    assert [len(held.accounts) for held in accounts_service.list_held()] == [12]
    assert filled.ledger() == before
    filled.run(
        "SET allow_system_table_mods = on",
        "INSERT INTO pg_authid SELECT * FROM saved",
    )
    assert filled.sync() == "succeeded"
    assert accounts_service.list_held() == []
    assert filled.ledger() == before
    filled.run("DROP TABLE saved")
    assert [kind for kind, _ in filled.changes()] == ["account_created"] * 12 + [
        "access_changed"
    ] * 12 + ["access_changed", "removal_held"]


def test_a_few_accounts_are_removed_at_once(filled: Watched) -> None:
    _add_people(filled, 9)
    filled.sync()
    _drop_people(filled, 9)
    assert filled.sync() == "succeeded"
    assert [kind for kind, _ in filled.changes()].count("account_removed") == 9
    assert accounts_service.list_held() == []
