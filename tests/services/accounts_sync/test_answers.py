"""What people are told about accounts is what the ledger holds, now or as of then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.services.accounts.accounts_service import accounts_service
from tests.services.accounts_sync.conftest import Watched


@pytest.fixture
def people(watched: Watched) -> Watched:
    watched.run(
        "CREATE ROLE readers",
        "CREATE ROLE boss LOGIN SUPERUSER",
        *(f"CREATE ROLE person{n} LOGIN" for n in range(7)),
        "GRANT readers TO person1",
    )
    watched.run("GRANT SELECT ON items TO person1 WITH GRANT OPTION", database="orders")
    assert watched.sync() == "succeeded"
    return watched


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_of_any_size_list_every_account_once_by_name(people: Watched, size: int) -> None:
    names: list[str] = []
    after = None
    while True:
        page = accounts_service.list_accounts(limit=size, after=after)
        assert len(page.rows) <= size
        names += [row.name for row in page.rows]
        after = page.next_after
        if after is None:
            break
    assert names == sorted({*people.accounts(), "whalefall", "monitor"})


def test_filters_leave_in_what_they_say(people: Watched) -> None:
    assert people
    privileged = accounts_service.list_accounts(privileged=True).rows
    assert {row.name for row in privileged} == {"boss", "whalefall"}
    assert all(row.privileged_because for row in privileged)
    assert {row.kind for row in accounts_service.list_accounts(kind="role").rows} == {"role"}
    found = accounts_service.list_accounts(name_like="SON1").rows
    assert [row.name for row in found] == ["person1"]
    everything = accounts_service.list_accounts(include_system=True, limit=1000).rows
    assert {"PUBLIC", "pg_monitor"} <= {row.name for row in everything}
    assert accounts_service.list_accounts(engine="mysql").rows == []


def test_a_place_to_continue_from_that_nobody_named_is_refused(people: Watched) -> None:
    assert people
    with pytest.raises(ValueError, match="continue from"):
        accounts_service.list_accounts(after="garbage")


def test_what_an_account_held_can_be_shown_as_of_any_moment(people: Watched) -> None:
    then = datetime.now(UTC)
    people.run("REVOKE SELECT ON items FROM person1", database="orders")
    people.run("REVOKE readers FROM person1", "ALTER ROLE person1 RENAME TO person_one")
    people.sync()
    now = accounts_service.show_account("pg", "person_one")
    assert all("items" not in line for scope in now.scopes for line in scope.lines)
    past = accounts_service.show_account("pg", "person_one", then)
    by_scope = {scope.scope: scope for scope in past.scopes}
    assert by_scope["orders"].lines == ["SELECT (may grant it on) on table public.items"]
    assert any(line.startswith("member of readers") for line in by_scope["server"].lines)
    assert by_scope["server"].facts is not None
    assert by_scope["server"].facts["attributes"]["name"] == "person1"
    assert [change.kind for change in past.changes].count("account_renamed") == 1
    grants = "\n".join(accounts_service.grant_statements("pg", then)["orders"])
    assert "GRANT SELECT" in grants
    assert "items" in grants


def test_what_was_never_seen_is_unknown_and_not_nothing(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "REVOKE CONNECT ON DATABASE crm FROM PUBLIC")
    watched.sync()
    scopes = {s.scope: s for s in accounts_service.show_account("pg", "alice").scopes}
    assert (scopes["crm"].facts, scopes["crm"].full_at) == (None, None)
    assert scopes["crm"].status == "denied"
    assert scopes["orders"].facts is None
    assert scopes["orders"].full_at is not None


def test_what_was_not_yet_seen_then_is_unknown_and_not_nothing(watched: Watched) -> None:
    watched.run("CREATE ROLE alice LOGIN", "REVOKE CONNECT ON DATABASE crm FROM PUBLIC")
    watched.sync()
    then = datetime.now(UTC)
    watched.run("GRANT CONNECT ON DATABASE crm TO PUBLIC")
    assert watched.sync() == "succeeded"
    past = {s.scope: s for s in accounts_service.show_account("pg", "alice", then).scopes}
    assert (past["crm"].facts, past["crm"].full_at) == (None, None)
    assert past["orders"].full_at is not None
    now = {s.scope: s for s in accounts_service.show_account("pg", "alice").scopes}
    assert now["crm"].full_at is not None


def test_the_overview_says_how_far_each_server_is_known(people: Watched) -> None:
    people.run("REVOKE CONNECT ON DATABASE crm FROM PUBLIC", "CREATE ROLE late LOGIN")
    people.sync()
    (row,) = accounts_service.overview()
    assert (row.instance, row.state, row.accounts, row.privileged) == ("pg", "partial", 12, 2)
    assert [(s.scope, s.status) for s in row.scopes_not_seen] == [("crm", "denied")]
    assert "GRANT CONNECT" in (row.scopes_not_seen[0].remedy or "")
    assert row.changes_24h == len(people.changes())


def test_an_account_that_is_not_known_is_told_where_to_look(people: Watched) -> None:
    assert people
    with pytest.raises(LookupError, match="accounts list"):
        accounts_service.show_account("pg", "nobody")
    with pytest.raises(LookupError, match="instance list"):
        accounts_service.grant_statements("nowhere")
    with pytest.raises(LookupError, match="accounts held"):
        accounts_service.confirm_removal("pg", "tester")
