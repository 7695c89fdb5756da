from __future__ import annotations

import pytest

from tests.cli.conftest import Whalefall
from tests.fixtures.postgresql import PostgresqlServer

LONG = "a_name_of_sixty_three_bytes_that_no_table_of_eighty_columns_fits"[:63]


@pytest.fixture
def synced(fleet: Whalefall, postgresql: PostgresqlServer) -> Whalefall:
    """A server that was read, changed and read again."""
    postgresql.run("CREATE ROLE readers", "CREATE ROLE alice LOGIN", f"CREATE ROLE {LONG} LOGIN")
    assert fleet("run", "accounts", "--wait").code == 0
    postgresql.run(
        "GRANT readers TO alice WITH ADMIN OPTION",
        f"ALTER ROLE {LONG} SUPERUSER",
        'CREATE ROLE "evil\x1b[2J" LOGIN',
    )
    assert fleet("run", "accounts", "--wait").code == 0
    return fleet


@pytest.mark.parametrize(
    "command",
    [
        ["overview"],
        ["list"],
        ["list", "--privileged"],
        ["list", "--system", "--limit", "0"],
        ["show", "orders", "alice"],
        ["show", "orders", LONG],
        ["changes", "--since", "1h"],
        ["held"],
    ],
    ids=" ".join,
)
def test_answers_fit_80_columns_and_cannot_steer_the_terminal(
    synced: Whalefall, command: list[str]
) -> None:
    said = synced("accounts", *command)
    assert said.code == 0, said.err
    assert said.widest <= 80
    assert "\x1b" not in said.out + said.err
    shown = synced("accounts", *command, "--json")
    assert isinstance(shown.json, dict)
    assert shown.err == ""


def test_the_key_of_a_list_is_never_cut(synced: Whalefall) -> None:
    out = synced("accounts", "list", "--privileged").out
    assert LONG in "".join(line.split("  ")[0] for line in out.splitlines())


def test_changes_are_told_in_words_and_what_raised_a_privilege_can_be_picked(
    synced: Whalefall,
) -> None:
    said = synced("accounts", "changes", "--account", "alice").out
    assert "member of readers (may grant it on)" in " ".join(said.split())
    raised = synced("accounts", "changes", "--raised", "--json").json["changes"]
    assert {change["account"] for change in raised} >= {"alice", LONG}
    assert all(change["raised"] for change in raised)
    (grown,) = (change for change in raised if change["account"] == LONG)
    assert grown["diff"]["attributes"] == {"superuser": [False, True]}
    assert grown["occurred_at"].endswith("Z")


def test_grants_are_sql_that_the_engine_takes(
    synced: Whalefall, postgresql: PostgresqlServer
) -> None:
    said = synced("accounts", "grants", "orders")
    assert said.code == 0
    assert "readers" in said.out
    statements = synced("accounts", "grants", "orders", "--json").json["scopes"][0]["statements"]
    postgresql.wipe()
    postgresql.run(*statements)
    (count,) = postgresql.fetch("SELECT count(*) FROM pg_roles WHERE rolname = 'alice'")[0]
    assert count == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["show", "orders", "nobody"], "accounts list"),
        (["show", "nowhere", "alice"], "accounts list"),
        (["grants", "nowhere"], "instance list"),
        (["confirm-removal", "orders", "--yes"], "accounts held"),
        (["list", "--after", "garbage"], "--after"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_answered_says_what_to_do(
    synced: Whalefall, command: list[str], told: str
) -> None:
    said = synced("accounts", *command)
    assert said.code in {1, 2}
    assert told in said.told
    assert "Traceback" not in said.err
