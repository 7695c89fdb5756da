from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.constants.engines import TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Receipt, Target
from app.repositories.remote.postgresql import connect, read_server
from tests.fixtures.postgresql import NOBODY, SUPERUSER_PASSWORD, PostgresqlServer


def reach(target: Target) -> str:
    with connect(target, Receipt()) as session:
        return read_server(session).version


def refused(target: Target) -> ReadError:
    with pytest.raises(ReadError) as caught:
        reach(target)
    assert SUPERUSER_PASSWORD not in f"{caught.value.message} {caught.value.remedy}"
    return caught.value


def certificate(*names: str) -> tuple[str, str]:
    """Return the PEM of a self-signed certificate for these names and addresses, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


@pytest.fixture
def authority(postgresql: PostgresqlServer) -> Iterator[str]:
    """The PEM that signs the server's certificate, which names localhost; TLS is on meanwhile."""
    pem, key = certificate("localhost")
    for name, text in (("server.crt", pem), ("server.key", key)):
        path = postgresql.data / name
        path.write_text(text)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
    postgresql.run("ALTER SYSTEM SET ssl = on")
    postgresql.reload()
    deadline = time.monotonic() + 10
    while postgresql.fetch("SHOW ssl") != [("on",)] and time.monotonic() < deadline:
        time.sleep(0.05)
    yield pem
    postgresql.run("ALTER SYSTEM RESET ssl")
    postgresql.reload()


def tls(server: PostgresqlServer, mode: TlsMode, **changes: str | None) -> Target:
    return server.tcp_target(tls_mode=mode, **{"host": "localhost", **changes})


def test_tls_with_the_right_authority_and_name_is_accepted(
    postgresql: PostgresqlServer, authority: str
) -> None:
    for mode in (TlsMode.VERIFY_FULL, TlsMode.VERIFY_CA):
        target = tls(postgresql, mode, tls_ca=authority)
        with connect(target, Receipt()) as session:
            assert session.connection.ssl_in_use
            assert read_server(session).accounts()


def test_tls_with_another_name_is_refused_unless_only_the_authority_counts(
    postgresql: PostgresqlServer, authority: str
) -> None:
    elsewhere = {"host": "127.0.0.1", "tls_ca": authority}
    error = refused(tls(postgresql, TlsMode.VERIFY_FULL, **elsewhere))
    assert error.kind is FailureKind.TLS
    assert "another name" in str(error.remedy)
    assert reach(tls(postgresql, TlsMode.VERIFY_CA, **elsewhere))


def test_tls_of_an_unknown_authority_is_refused_and_says_what_to_do(
    postgresql: PostgresqlServer, authority: str
) -> None:
    assert authority
    other, _ = certificate("localhost")
    for ca in (other, None):
        error = refused(tls(postgresql, TlsMode.VERIFY_FULL, tls_ca=ca))
        assert error.kind is FailureKind.TLS
        assert "authority" in str(error.remedy)
    error = refused(tls(postgresql, TlsMode.VERIFY_CA))
    assert error.kind is FailureKind.TLS
    assert "PEM" in str(error.remedy)
    error = refused(tls(postgresql, TlsMode.VERIFY_FULL, tls_ca="not a certificate"))
    assert error.kind is FailureKind.TLS
    with connect(tls(postgresql, TlsMode.REQUIRE), Receipt()) as session:
        assert session.connection.ssl_in_use
    with connect(tls(postgresql, TlsMode.DISABLE), Receipt()) as session:
        assert not session.connection.ssl_in_use


def test_a_server_without_tls_says_how_to_relax(postgresql: PostgresqlServer) -> None:
    for mode in (TlsMode.VERIFY_FULL, TlsMode.REQUIRE):
        error = refused(tls(postgresql, mode))
        assert error.kind is FailureKind.TLS
        assert "disable" in str(error.remedy)


def test_a_wrong_password_is_a_refused_login(postgresql: PostgresqlServer) -> None:
    error = refused(postgresql.tcp_target(password="wrong-but-secret"))
    assert error.kind is FailureKind.LOGIN
    assert "wrong-but-secret" not in error.message
    assert not error.transient
    assert refused(postgresql.tcp_target("nobody-here")).kind is FailureKind.LOGIN
    assert refused(postgresql.tcp_target("")).kind is FailureKind.LOGIN
    assert reach(postgresql.tcp_target())


def test_a_role_that_may_not_log_in_is_told_with_the_statement_to_paste(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher")
    error = refused(postgresql.target("watcher"))
    assert error.kind is FailureKind.LOGIN
    assert error.remedy == 'ALTER ROLE "watcher" LOGIN;'


def test_a_missing_line_in_pg_hba_is_told_with_the_line_to_paste(
    postgresql: PostgresqlServer,
) -> None:
    hba = postgresql.data / "pg_hba.conf"
    before = hba.read_text()
    try:
        hba.write_text("local all postgres trust\n")
        postgresql.fetch("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        error = ReadError(FailureKind.QUERY, "")
        while "pg_hba" not in error.message and time.monotonic() < deadline:
            error = refused(postgresql.tcp_target(password="x"))
    finally:
        hba.write_text(before)
        postgresql.fetch("SELECT pg_reload_conf()")
    assert error.kind is FailureKind.LOGIN
    assert "host postgres postgres 127.0.0.1/32 scram-sha-256" in str(error.remedy)


def test_a_database_that_does_not_exist_is_named(postgresql: PostgresqlServer) -> None:
    error = refused(postgresql.target(database="nowhere"))
    assert error.kind is FailureKind.NO_DATABASE
    assert "nowhere" in error.message


def test_a_role_at_its_connection_limit_is_worth_trying_again(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE ROLE watcher LOGIN CONNECTION LIMIT 0")
    error = refused(postgresql.target("watcher"))
    assert error.kind is FailureKind.TOO_MANY_CONNECTIONS
    assert error.transient


def test_a_port_where_nobody_listens_is_refused(postgresql: PostgresqlServer) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = refused(postgresql.tcp_target(port=held.getsockname()[1]))
    assert error.kind is FailureKind.REFUSED
    assert refused(postgresql.target(port=1)).kind is FailureKind.REFUSED


def test_a_name_that_nobody_knows_is_a_dns_failure(postgresql: PostgresqlServer) -> None:
    target = postgresql.tcp_target(host="no-such-host.invalid", connect_timeout_seconds=5.0)
    assert refused(target).kind is FailureKind.DNS


def test_a_listener_that_never_answers_costs_the_connect_timeout(
    postgresql: PostgresqlServer,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = postgresql.tcp_target(
            port=listener.getsockname()[1], connect_timeout_seconds=0.5
        )
        for mode in (TlsMode.DISABLE, TlsMode.REQUIRE):
            started = time.monotonic()
            error = refused(replace(target, tls_mode=mode))
            assert 0.4 < time.monotonic() - started < 2
            assert error.kind is FailureKind.CONNECT_TIMEOUT


def test_something_that_is_not_postgresql_is_an_error_and_no_answer(
    postgresql: PostgresqlServer,
) -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        target = postgresql.tcp_target(
            port=listener.getsockname()[1], connect_timeout_seconds=1.0
        )
        assert refused(target).kind in {FailureKind.CONNECT_TIMEOUT, FailureKind.LOST}
        thread.join()


def test_a_server_that_falls_silent_in_an_answer_is_given_up(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.repositories.remote.postgresql.session.GRACE_SECONDS", 0.3)
    target = replace(postgresql.target(), statement_timeout_seconds=0.3)
    with connect(target, Receipt()) as session:
        frozen = session.connection.backend_pid
        os.kill(frozen, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(ReadError) as caught:
                read_server(session)
            assert time.monotonic() - started < 3
        finally:
            os.kill(frozen, signal.SIGCONT)
    assert caught.value.kind is FailureKind.STATEMENT_TIMEOUT
    assert "silent" in caught.value.message
