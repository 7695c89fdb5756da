from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.constants.engines import Engine, TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote.facts import Target
from app.services.instances.connection import Step, StepState, connection_steps
from tests.fixtures.mysql import TestServer
from tests.fixtures.postgresql import PostgresqlServer


def steps_of(target: Target) -> dict[str, Step]:
    return {step.name: step for step in connection_steps("orders", target)}


def failed(steps: dict[str, Step]) -> Step:
    """The one step that failed: it has to be the last."""
    *before, last = steps.values()
    assert last.state is StepState.FAILED
    assert all(step.state is not StepState.FAILED for step in before)
    assert last.remedy
    return last


def by_network(server: TestServer, password: str) -> Target:
    """Only MySQL makes itself a certificate."""
    mode = TlsMode.REQUIRE if server.engine is Engine.MYSQL else TlsMode.DISABLE
    return server.tcp_target("watcher", password, tls_mode=mode)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = int(server.getsockname()[1])
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port


def test_a_server_that_can_be_read_passes_every_step(postgresql: PostgresqlServer) -> None:
    steps = steps_of(postgresql.tcp_target())
    assert [(step.name, step.state) for step in steps.values()] == [
        ("dns", StepState.NOT_NEEDED),
        ("tcp", StepState.OK),
        ("tls", StepState.WARNING),
        ("login", StepState.OK),
        ("accounts", StepState.OK),
        ("rights", StepState.OK),
        ("databases", StepState.OK),
    ]
    assert "clear text" in steps["tls"].detail
    assert str(postgresql.major) in steps["accounts"].detail


def test_a_socket_needs_no_name_and_no_encryption(postgresql: PostgresqlServer) -> None:
    steps = steps_of(postgresql.target())
    assert steps["dns"].state is steps["tls"].state is StepState.NOT_NEEDED
    assert steps["login"].state is StepState.OK


def test_a_wrong_password_fails_at_the_login_after_the_network_was_fine(
    postgresql: PostgresqlServer,
) -> None:
    steps = steps_of(postgresql.tcp_target(password="wrong-but-secret"))
    step = failed(steps)
    assert (step.name, step.error_code) == ("login", FailureKind.LOGIN)
    assert steps["tcp"].state is StepState.OK
    assert "wrong-but-secret" not in repr(steps)


def test_a_closed_port_fails_before_the_login_and_says_who_has_to_listen(closed_port: int) -> None:
    for engine, setting in (
        (Engine.POSTGRESQL, "listen_addresses"),
        (Engine.MYSQL, "bind_address"),
    ):
        step = failed(steps_of(Target(engine, "127.0.0.1", closed_port, "u", "p")))
        assert (step.name, step.error_code) == ("tcp", FailureKind.REFUSED)
        assert setting in str(step.remedy)


def test_a_name_that_does_not_exist_fails_first() -> None:
    step = failed(steps_of(Target(Engine.POSTGRESQL, "nonexistent.invalid", 5432, "u", "p")))
    assert (step.name, step.error_code) == ("dns", FailureKind.DNS)
    assert "getent hosts nonexistent.invalid" in str(step.remedy)
    assert "whalefall instance edit orders" in str(step.remedy)


def test_a_port_that_stays_silent_costs_the_time_out_and_blames_a_firewall(
    silent_port: int,
) -> None:
    target = Target(Engine.MYSQL, "127.0.0.1", silent_port, "u", "p", connect_timeout_seconds=0.3)
    step = failed(steps_of(target))
    assert (step.name, step.error_code) == ("tcp", FailureKind.CONNECT_TIMEOUT)
    assert "firewall" in str(step.remedy)
    assert step.duration_ms < 3000


def test_a_database_that_is_missing_is_told_from_a_login_that_is(
    postgresql: PostgresqlServer,
) -> None:
    step = failed(steps_of(postgresql.tcp_target(database="no_such_database")))
    assert (step.name, step.error_code) == ("login", FailureKind.NO_DATABASE)
    assert "no_such_database" in step.detail


def test_a_server_without_tls_fails_at_tls_and_not_at_the_login(
    postgresql: PostgresqlServer,
) -> None:
    step = failed(steps_of(postgresql.tcp_target(tls_mode=TlsMode.REQUIRE)))
    assert (step.name, step.error_code) == ("tls", FailureKind.TLS)


def test_a_socket_that_is_not_there_says_what_the_host_has_to_be() -> None:
    step = failed(steps_of(Target(Engine.POSTGRESQL, "/nowhere", 5432, "u", "p")))
    assert "/nowhere/.s.PGSQL.5432" in step.detail
    assert "directory" in str(step.remedy)


def test_a_database_that_cannot_be_entered_is_named_with_the_grant_to_paste(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run(
        "CREATE ROLE watcher LOGIN PASSWORD 'w'",
        "CREATE DATABASE open_one",
        "CREATE DATABASE closed_one",
        "REVOKE CONNECT ON DATABASE closed_one FROM PUBLIC",
    )
    told: list[tuple[int, int]] = []
    target = postgresql.tcp_target("watcher", password="w")
    steps = list(connection_steps("orders", target, progress=lambda *done: told.append(done)))
    [closed] = [step for step in steps if step.name == "database"]
    assert closed.state is StepState.WARNING
    assert closed.detail.startswith("closed_one")
    assert "GRANT CONNECT ON DATABASE" in str(closed.remedy)
    assert steps[-1].state is StepState.WARNING
    assert told[-1][0] == told[-1][1]


def test_a_mysql_account_that_may_not_read_the_grants_is_told_what_to_grant(
    any_mysqld: TestServer,
) -> None:
    any_mysqld.clean()
    any_mysqld.run("CREATE USER 'watcher'@'127.0.0.1' IDENTIFIED BY 'w-secret-1'")
    steps = list(connection_steps("shop", by_network(any_mysqld, "w-secret-1")))
    text = "\n".join(f"{step.state} {step.detail} {step.remedy}" for step in steps)
    assert "GRANT" in text
    assert "w-secret-1" not in text
    assert any(
        step.state in {StepState.FAILED, StepState.WARNING} for step in steps if step.name != "tls"
    )


def test_a_wrong_password_of_mysql_fails_at_the_login(any_mysqld: TestServer) -> None:
    any_mysqld.clean()
    any_mysqld.run("CREATE USER 'watcher'@'127.0.0.1' IDENTIFIED BY 'right'")
    step = failed(steps_of(by_network(any_mysqld, "wrong")))
    assert (step.name, step.error_code) == ("login", FailureKind.LOGIN)
