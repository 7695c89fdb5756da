from __future__ import annotations

import datetime as dt
import ipaddress
import os
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    now = dt.datetime.now(dt.UTC)
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
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
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


@dataclass(frozen=True)
class Secured:
    """A way to the server by TLS; its certificate signs itself and names localhost."""

    server: PostgresqlServer
    port: int
    authority: str

    def target(self, mode: TlsMode, **changes: str | None) -> Target:
        where: dict[str, Any] = {"host": "localhost", "port": self.port}
        return self.server.tcp_target(tls_mode=mode, **{**where, **changes})


@pytest.fixture
def secured(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Secured]:
    """The server itself with TLS on; or, if it was built without, a real TLS end in front of it."""
    pem, key = certificate("localhost")
    native = postgresql.fetch(
        "SELECT 1 FROM pg_config() WHERE name = 'CONFIGURE' AND setting ~ 'openssl|ssl=openssl'"
    )
    folder = postgresql.data if native else tmp_path
    for name, text in (("server.crt", pem), ("server.key", key)):
        path = folder / name
        path.write_text(text)
        path.chmod(0o600)
        if os.geteuid() == 0 and native:
            os.chown(path, NOBODY, NOBODY)
    if not native:
        with tls_end(postgresql, tmp_path) as port:
            yield Secured(postgresql, port, pem)
        return
    postgresql.run("ALTER SYSTEM SET ssl = on")
    postgresql.reload()
    deadline = time.monotonic() + 10
    while postgresql.fetch("SHOW ssl") != [("on",)] and time.monotonic() < deadline:
        time.sleep(0.05)
    yield Secured(postgresql, postgresql.port, pem)
    postgresql.run("ALTER SYSTEM RESET ssl")
    postgresql.reload()


@contextmanager
def tls_end(server: PostgresqlServer, folder: Path) -> Iterator[int]:
    """Speak PostgreSQL's opening of TLS on a port and pass what is inside on to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")

    def serve(accepted: socket.socket) -> None:
        with accepted, socket.create_connection(("127.0.0.1", server.port)) as inner:
            outer = accepted
            opening = accepted.recv(8)
            if opening[4:] == (80877103).to_bytes(4, "big"):
                accepted.sendall(b"S")
                try:
                    outer = context.wrap_socket(accepted, server_side=True)
                except OSError:
                    return
            else:
                inner.sendall(opening)
            with outer:
                pass_on(outer, inner)

    def pass_on(outer: socket.socket, inner: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([outer, inner], [], [], 10)
            for source, sink in ((outer, inner), (inner, outer)):
                if source in ready:
                    try:
                        data = source.recv(65536)
                        while isinstance(source, ssl.SSLSocket) and source.pending():
                            data += source.recv(65536)
                        sink.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
            if not ready:
                return

    def listen() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=[accepted]))
            threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=listen)
        accepting.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
    for thread in threads:
        thread.join()


def test_tls_with_the_right_authority_and_name_is_accepted(secured: Secured) -> None:
    for mode in (TlsMode.VERIFY_FULL, TlsMode.VERIFY_CA):
        target = secured.target(mode, tls_ca=secured.authority)
        with connect(target, Receipt()) as session:
            assert session.connection.ssl_in_use
            assert read_server(session).accounts()


def test_tls_with_another_name_is_refused_unless_only_the_authority_counts(
    secured: Secured,
) -> None:
    elsewhere = {"host": "127.0.0.1", "tls_ca": secured.authority}
    error = refused(secured.target(TlsMode.VERIFY_FULL, **elsewhere))
    assert error.kind is FailureKind.TLS
    assert "another name" in str(error.remedy)
    assert reach(secured.target(TlsMode.VERIFY_CA, **elsewhere))


def test_tls_of_an_unknown_authority_is_refused_and_says_what_to_do(secured: Secured) -> None:
    other, _ = certificate("localhost")
    for ca in (other, None):
        error = refused(secured.target(TlsMode.VERIFY_FULL, tls_ca=ca))
        assert error.kind is FailureKind.TLS
        assert "authority" in str(error.remedy)
    error = refused(secured.target(TlsMode.VERIFY_CA))
    assert error.kind is FailureKind.TLS
    assert "PEM" in str(error.remedy)
    error = refused(secured.target(TlsMode.VERIFY_FULL, tls_ca="not a certificate"))
    assert error.kind is FailureKind.TLS
    with connect(secured.target(TlsMode.REQUIRE), Receipt()) as session:
        assert session.connection.ssl_in_use
    with connect(secured.target(TlsMode.DISABLE), Receipt()) as session:
        assert not session.connection.ssl_in_use


def test_a_server_without_tls_says_how_to_relax(postgresql: PostgresqlServer) -> None:
    for mode in (TlsMode.VERIFY_FULL, TlsMode.REQUIRE):
        error = refused(postgresql.tcp_target(tls_mode=mode))
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
        target = postgresql.tcp_target(port=listener.getsockname()[1], connect_timeout_seconds=0.5)
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
        target = postgresql.tcp_target(port=listener.getsockname()[1], connect_timeout_seconds=1.0)
        assert refused(target).kind is FailureKind.UNSUPPORTED
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
