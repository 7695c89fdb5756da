"""How a server that cannot be read is told from one that has nothing."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.constants.engines import Engine, TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote import reader_for
from app.repositories.remote.facts import DatabaseFact, ReadError, Receipt, Target
from tests.fixtures.mysql import TestServer


def _failure(target: Target) -> ReadError:
    with pytest.raises(ReadError) as raised, reader_for(target.engine).connect(target, Receipt()):
        pass
    return raised.value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_wrong_password_is_a_failed_login(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE USER watch@'%' IDENTIFIED BY 'right-Pass1'")
    error = _failure(any_mysqld.tcp_target("watch", "wrong-Pass1"))
    assert error.kind is FailureKind.LOGIN
    assert "wrong-Pass1" not in f"{error.message} {error.remedy}"


def test_a_locked_account_is_a_failed_login(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE USER watch@'%' IDENTIFIED BY 'right-Pass1' ACCOUNT LOCK")
    assert _failure(any_mysqld.tcp_target("watch", "right-Pass1")).kind is FailureKind.LOGIN


def test_an_unknown_database_is_told_as_such(any_mysqld: TestServer) -> None:
    assert _failure(any_mysqld.target(database="nowhere")).kind is FailureKind.NO_DATABASE


def test_a_user_out_of_connections_is_transient(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE USER watch@'localhost' WITH MAX_USER_CONNECTIONS 1")
    target = any_mysqld.target("watch")
    with reader_for(target.engine).connect(target, Receipt()):
        error = _failure(target)
    assert error.kind is FailureKind.TOO_MANY_CONNECTIONS
    assert error.transient


@pytest.mark.parametrize("engine", [Engine.MYSQL, Engine.MARIADB])
def test_nobody_listening_is_refused(engine: Engine, tmp_path: Path) -> None:
    assert _failure(Target(engine, "127.0.0.1", _free_port(), "u", "p")).kind is FailureKind.REFUSED
    assert (
        _failure(Target(engine, str(tmp_path / "no.sock"), 0, "u", "p")).kind is FailureKind.REFUSED
    )


def test_an_unknown_host_is_a_dns_failure() -> None:
    assert _failure(Target(Engine.MYSQL, "nowhere.invalid", 3306, "u", "p")).kind is FailureKind.DNS


def test_a_listener_that_never_greets_costs_the_connect_timeout_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        port = listener.getsockname()[1]
        error = _failure(
            Target(Engine.MYSQL, "127.0.0.1", port, "u", "p", connect_timeout_seconds=1.0)
        )
    assert error.kind is FailureKind.CONNECT_TIMEOUT
    assert time.monotonic() - started < 4


def test_the_wrong_engine_is_refused_with_what_to_do(any_mysqld: TestServer) -> None:
    other = Engine.MYSQL if any_mysqld.engine is Engine.MARIADB else Engine.MARIADB
    error = _failure(any_mysqld.target(engine=other))
    assert error.kind is FailureKind.UNSUPPORTED
    assert error.remedy == "edit the instance's engine"


def test_a_slow_statement_ends_by_the_servers_own_timeout(any_mysqld: TestServer) -> None:
    target = any_mysqld.target(statement_timeout_seconds=1.0)
    with reader_for(target.engine).connect(target, Receipt()) as session:
        started = time.monotonic()
        with pytest.raises(ReadError) as raised:
            session.ask(
                "SELECT COUNT(*) FROM information_schema.COLLATIONS a,"
                " information_schema.COLLATIONS b, information_schema.COLLATIONS c,"
                " information_schema.COLLATIONS d"
            )
    assert raised.value.kind is FailureKind.STATEMENT_TIMEOUT
    assert time.monotonic() - started < 4


def test_a_session_killed_in_the_middle_raises_and_gives_no_facts(any_mysqld: TestServer) -> None:
    reader = reader_for(any_mysqld.engine)
    with reader.connect(any_mysqld.target(), Receipt()) as session:
        ((number,),) = session.ask("SELECT CONNECTION_ID()")
        any_mysqld.run(f"KILL {number}")
        with pytest.raises(ReadError) as raised:
            reader.read_server(session)
    assert raised.value.kind is FailureKind.LOST
    assert raised.value.transient


def test_the_session_cannot_write(any_mysqld: TestServer) -> None:
    with (
        reader_for(any_mysqld.engine).connect(any_mysqld.target(), Receipt()) as session,
        pytest.raises(ReadError),
    ):
        session.ask("CREATE DATABASE written")
    assert ("written",) not in any_mysqld.run("SHOW DATABASES")


def test_a_lock_on_the_grant_tables_is_not_waited_for_long(any_mysqld: TestServer) -> None:
    table = "mysql.user" if any_mysqld.engine is Engine.MYSQL else "mysql.global_priv"
    any_mysqld.run(f"LOCK TABLES {table} WRITE")
    try:
        with pytest.raises(ReadError) as raised:
            any_mysqld.read(any_mysqld.target(lock_timeout_seconds=1.0))
    finally:
        any_mysqld.run("UNLOCK TABLES")
    assert raised.value.kind in (FailureKind.LOCKED, FailureKind.STATEMENT_TIMEOUT)


def test_databases_are_not_read_one_by_one(any_mysqld: TestServer) -> None:
    assert any_mysqld.read().databases == ()
    with pytest.raises(ReadError) as raised:
        reader_for(any_mysqld.engine).read_database(
            any_mysqld.target(), DatabaseFact("mysql", "mysql"), Receipt(), ""
        )
    assert raised.value.kind is FailureKind.UNSUPPORTED


# -- TLS


@pytest.fixture
def tls_server(any_mysqld: TestServer) -> TestServer:
    any_mysqld.run(
        "CREATE USER watch@'%' IDENTIFIED BY 'right-Pass1'", "GRANT ALL ON *.* TO watch@'%'"
    )
    return any_mysqld


def test_a_certificate_is_checked_as_far_as_the_mode_says(
    tls_server: TestServer, server_certificates: Path
) -> None:
    ours, other = str(server_certificates / "ca.pem"), str(server_certificates / "other.pem")

    def target(mode: TlsMode, ca: str | None = None, host: str = "127.0.0.1") -> Target:
        return tls_server.tcp_target("watch", "right-Pass1", tls_mode=mode, tls_ca=ca, host=host)

    for good in (
        target(TlsMode.VERIFY_FULL, ours),
        target(TlsMode.VERIFY_CA, ours, "localhost"),
        target(TlsMode.REQUIRE),
    ):
        with reader_for(good.engine).connect(good, Receipt()) as session:
            assert session.ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
    for bad in (
        target(TlsMode.VERIFY_FULL, other),
        target(TlsMode.VERIFY_FULL, ours, "localhost"),  # signed, but for another name
        target(TlsMode.VERIFY_CA, other),
        target(TlsMode.VERIFY_FULL),  # not signed by an authority of the system
        target(TlsMode.VERIFY_FULL, "/nowhere.pem"),
    ):
        error = _failure(bad)
        assert error.kind is FailureKind.TLS
        assert error.remedy


def test_a_server_without_tls_is_refused_and_not_spoken_to_in_clear_text(
    two_mysqlds: Callable[[], tuple[TestServer, TestServer]],
) -> None:
    _, server = two_mysqlds()
    server.run("CREATE USER watch@'%' IDENTIFIED BY 'right-Pass1'")
    for mode in (TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL):
        error = _failure(server.tcp_target("watch", "right-Pass1", tls_mode=mode))
        assert error.kind is FailureKind.TLS
        assert "disable" in str(error.remedy)
    target = server.tcp_target("watch", "right-Pass1", tls_mode=TlsMode.DISABLE)
    with reader_for(target.engine).connect(target, Receipt()) as session:
        assert session.ask("SELECT 1") == (("1",),)


def test_clear_text_is_only_what_disable_asks_for(tls_server: TestServer) -> None:
    target = tls_server.tcp_target("watch", "right-Pass1", tls_mode=TlsMode.DISABLE)
    with reader_for(target.engine).connect(target, Receipt()) as session:
        assert session.ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1] == ""


def test_a_server_that_breaks_off_its_greeting_is_lost_not_empty() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            client, _ = listener.accept()
            client.sendall(b"\x4a\x00\x00\x00\x0a8.4")
            client.close()

        thread = threading.Thread(target=greet)
        thread.start()
        error = _failure(Target(Engine.MYSQL, "127.0.0.1", listener.getsockname()[1], "u", "p"))
        thread.join()
    assert error.kind is FailureKind.LOST
    assert not re.search("password", error.message)
