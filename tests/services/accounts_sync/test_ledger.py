"""What the ledger says after a sync is what is true on the server, and since when."""

from __future__ import annotations

from app.models import db
from tests.services.accounts_sync.conftest import Watched


def test_the_first_sight_is_a_baseline_and_no_change(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "CREATE ROLE readers", "GRANT readers TO alice")
    assert watched.sync() == "succeeded"
    assert watched.accounts() == {"alice", "readers"}
    assert watched.changes() == []


def test_a_sync_that_finds_nothing_new_writes_only_observations(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "GRANT CONNECT ON DATABASE crm TO alice")
    watched.sync()
    before = watched.ledger()
    tables = ("accounts", "entitlements", "account_changes", "databases")
    counts = [watched.rows(f"SELECT count(*) AS n FROM {table}")[0].n for table in tables]
    assert watched.sync() == "succeeded"
    assert watched.ledger() == before
    assert counts == [watched.rows(f"SELECT count(*) AS n FROM {t}")[0].n for t in tables]
    assert watched.item().receipt["entitlements_changed"] == 0


def test_a_new_account_is_told_with_what_it_may_do(watched: Watched) -> None:
    watched.run("CREATE ROLE readers")
    watched.sync()
    watched.run("CREATE ROLE mallory LOGIN SUPERUSER", "GRANT readers TO mallory")
    watched.sync()
    (change,) = watched.rows("SELECT * FROM account_changes")
    assert (change.kind, change.account_name, change.raised) == (
        "account_created",
        "mallory",
        True,
    )
    assert change.diff["attributes"]["superuser"] == [None, True]
    assert [(f["fact"], f["role"]) for f in change.diff["added"]] == [("membership", "readers")]


def test_a_grant_and_its_revocation_are_two_intervals(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN")
    watched.sync()
    watched.run("GRANT SELECT ON items TO alice WITH GRANT OPTION", database="orders")
    watched.sync()
    watched.run("REVOKE SELECT ON items FROM alice", database="orders")
    watched.sync()
    granted, revoked = watched.rows("SELECT * FROM account_changes ORDER BY id")
    assert (granted.kind, granted.database_name, granted.raised) == (
        "access_changed",
        "orders",
        True,
    )
    assert granted.diff["added"][0]["privilege"] == "SELECT"
    assert (revoked.raised, list(revoked.diff)) == (False, ["removed"])
    (interval,) = watched.rows(
        "SELECT e.* FROM entitlements AS e JOIN databases AS d ON d.id = e.database_id"
        " JOIN accounts AS a ON a.id = e.account_id WHERE d.name = 'orders' AND a.name = 'alice'"
    )
    assert interval.valid_from == granted.occurred_at
    assert interval.valid_to == revoked.occurred_at


def test_a_rename_keeps_the_identity_and_its_history(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "CREATE ROLE readers", "GRANT readers TO alice")
    watched.sync()
    (before,) = watched.rows("SELECT id FROM accounts WHERE name = 'alice'")
    watched.run('ALTER ROLE alice RENAME TO "alice b"', "ALTER ROLE readers RENAME TO readers_2")
    watched.sync()
    assert watched.accounts() == {"alice b", "readers_2"}
    assert watched.rows("SELECT id FROM accounts WHERE name = 'alice b'") == [before]
    assert sorted(watched.changes()) == [
        ("account_renamed", "alice b"),
        ("account_renamed", "readers_2"),
    ]


def test_dropped_and_created_again_under_one_name_is_two_identities(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "GRANT CREATE ON DATABASE crm TO alice")
    watched.sync()
    watched.run("DROP OWNED BY alice", "DROP ROLE alice", "CREATE ROLE alice LOGIN")
    watched.sync()
    old, new = watched.rows("SELECT * FROM accounts WHERE name = 'alice' ORDER BY id")
    assert old.removed_at is not None
    assert new.removed_at is None
    assert sorted(watched.changes()) == [("account_created", "alice"), ("account_removed", "alice")]
    assert not watched.rows(
        "SELECT 1 FROM entitlements WHERE account_id = %s AND valid_to IS NULL", old.id
    )


def test_a_dropped_database_is_one_event_and_ends_what_was_held_in_it(watched: Watched) -> None:
    watched.run("CREATE ROLE alice", "CREATE ROLE bob")
    watched.run("GRANT SELECT ON items TO alice, bob", database="crm")
    watched.sync()
    watched.run("DROP DATABASE crm")
    assert watched.sync() == "succeeded"
    assert [kind for kind, _ in watched.changes()] == ["database_dropped"]
    assert "crm" not in {row.database for row in watched.ledger()}
    (row,) = watched.rows("SELECT closed_at FROM databases WHERE name = 'crm'")
    assert row.closed_at is not None


def test_a_database_created_again_under_one_name_is_another_database(watched: Watched) -> None:
    watched.sync()
    watched.run("DROP DATABASE crm", "CREATE DATABASE crm")
    watched.sync()
    rows = watched.rows("SELECT closed_at FROM databases WHERE name = 'crm' ORDER BY id")
    assert [row.closed_at is None for row in rows] == [False, True]


def test_names_of_every_kind_are_kept_as_they_are(watched: Watched) -> None:
    names = ['o"brien', "a b", "100%", "鲸落🐋", "é" * 31, "x\\y\tz", "PUBLIC"]
    for name in names:
        watched.run('CREATE ROLE "{}"'.format(name.replace('"', '""')))
    assert watched.sync() == "succeeded"
    assert watched.accounts() == set(names)
    watched.run('GRANT "a b" TO "100%"')
    watched.sync()
    assert watched.changes() == [("access_changed", "100%")]


def test_a_diff_names_roles_as_they_are_called_by_then(watched: Watched) -> None:
    watched.run("CREATE ROLE readers", "CREATE ROLE alice LOGIN")
    watched.sync()
    watched.run("ALTER ROLE readers RENAME TO viewers", "GRANT viewers TO alice")
    watched.sync()
    (change,) = watched.rows("SELECT * FROM account_changes WHERE kind = 'access_changed'")
    assert [fact["role"] for fact in change.diff["added"]] == ["viewers"]


def test_an_upgrade_of_the_engine_is_one_event(watched: Watched) -> None:
    watched.sync()
    connection = db.session.connection()
    connection.exec_driver_sql("UPDATE instances SET server_version = '17.6'")
    db.session.commit()
    watched.sync()
    assert watched.changes() == [("engine_upgraded", None)]
    (change,) = watched.rows("SELECT diff FROM account_changes")
    assert change.diff["attributes"]["version"][0] == "17.6"


def test_a_new_table_raises_nobody_but_whoever_was_granted_more_than_was_promised(
    watched: Watched,
) -> None:
    watched.run("CREATE ROLE app LOGIN", "CREATE ROLE readers", "CREATE ROLE spy LOGIN")
    watched.run(
        "CREATE SCHEMA s AUTHORIZATION app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA s GRANT SELECT ON TABLES TO readers",
        database="orders",
    )
    watched.sync()
    watched.run(
        "SET ROLE app",
        "CREATE TABLE s.fresh (id int)",
        "CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON s.fresh TO spy",
        database="orders",
    )
    watched.sync()
    rows = watched.rows("SELECT account_name, raised, diff FROM account_changes")
    assert {row.account_name: row.raised for row in rows} == {
        "app": False,
        "readers": False,
        "PUBLIC": False,
        "spy": True,
    }
    (owner,) = (row for row in rows if row.account_name == "app")
    assert all(fact["created"] for fact in owner.diff["added"])
    watched.run("DROP TABLE s.fresh", database="orders")
    watched.sync()
    last = watched.rows("SELECT diff FROM account_changes ORDER BY id DESC LIMIT 1")
    assert all(fact["dropped"] for fact in last[0].diff["removed"])


def test_a_table_that_changes_hands_raises_its_new_owner(watched: Watched) -> None:
    watched.run("CREATE ROLE old", "CREATE ROLE new")
    watched.run("ALTER TABLE items OWNER TO old", database="crm")
    watched.sync()
    watched.run("ALTER TABLE items OWNER TO new", database="crm")
    watched.sync()
    rows = watched.rows("SELECT account_name, raised FROM account_changes")
    assert {row.account_name: row.raised for row in rows} == {"old": False, "new": True}


def test_nothing_that_was_granted_around_an_upgrade_is_lost_in_it(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "CREATE ROLE bob LOGIN")
    watched.run("GRANT CREATE ON DATABASE crm TO bob")
    watched.sync()
    db.session.connection().exec_driver_sql("UPDATE instances SET server_version = '18.5'")
    db.session.commit()
    watched.run("GRANT TRIGGER ON items TO alice", database="orders")
    watched.run("GRANT CREATE ON DATABASE crm TO alice", "GRANT SET ON PARAMETER work_mem TO bob")
    watched.sync()
    rows = watched.rows("SELECT kind, account_name, raised, diff FROM account_changes")
    told = {
        (fact["privilege"], fact.get("account") or row.account_name, row.raised)
        for row in rows
        for fact in row.diff.get("added", ())
    }
    assert told == {("TRIGGER", "alice", True), ("CREATE", "alice", True), ("SET", "bob", True)}
    # somebody held CREATE before, so it is no news of the engine's; nobody ever held SET
    assert sorted(row.kind for row in rows) == [
        "access_changed",
        "access_changed",
        "engine_upgraded",
    ]
