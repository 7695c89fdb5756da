from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, event, given, settings

from app.repositories.remote.postgresql import grant_statements
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.world import (
    DATABASE,
    build_objects,
    by_name,
    histories,
    live,
    read,
)

EXAMPLES = int(os.environ.get("WHALEFALL_TEST_EXAMPLES", "12"))
MORE = "WHALEFALL_TEST_EXAMPLES" in os.environ
"""Another walk each time, and shrinking, which takes minutes."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not MORE,
    phases=set(Phase) if MORE else {Phase.generate},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories)
def test_what_was_read_can_be_made_true_again_on_an_empty_server(
    postgresql: PostgresqlServer, history: list[tuple[str, str]]
) -> None:
    postgresql.wipe()
    build_objects(postgresql)
    done = live(postgresql, history)
    event(f"{done * 10 // len(history) * 10} % of the history happened")
    accounts, server, databases = read(postgresql)
    statements = grant_statements(accounts, server, databases)

    postgresql.wipe()
    build_objects(postgresql)
    postgresql.run(*statements[None])
    postgresql.run(*statements[DATABASE], database=DATABASE)

    accounts_again, server_again, databases_again = read(postgresql)
    assert by_name(accounts_again, server_again) == by_name(accounts, server)
    inside, inside_again = databases[DATABASE], databases_again[DATABASE]
    assert by_name(accounts_again, inside_again) == by_name(accounts, inside)
