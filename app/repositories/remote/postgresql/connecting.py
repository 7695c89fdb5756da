"""Reaching a server: addresses, TLS, deadlines, and nothing taken from the environment."""

from __future__ import annotations

import ipaddress
import os
import queue
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from app.constants.engines import TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Target
from app.repositories.remote.postgresql.failures import connect_error

# libpq reads whatever is not said from PG* variables and files below ~/.postgresql: so everything
# is said. A service is the one thing that cannot be said away, so the variable that names one goes.
os.environ.pop("PGSERVICE", None)

_NO_FILE = "/nonexistent/whalefall"
_ANY_AUTH = "!sspi"
"""Any way to log in that exists here; empty would mean none, and PGREQUIREAUTH must not count."""
_EXPLICIT = {
    "application_name": "whalefall",
    "channel_binding": "prefer",
    "client_encoding": "UTF8",
    "fallback_application_name": "",
    "gssencmode": "disable",
    "keepalives": "1",
    "keepalives_count": "3",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "load_balance_hosts": "disable",
    "max_protocol_version": "3.0",
    "min_protocol_version": "3.0",
    "options": "",
    "passfile": _NO_FILE,
    "requirepeer": "",
    "ssl_max_protocol_version": "",
    "ssl_min_protocol_version": "TLSv1.2",
    "sslcertmode": "disable",
    "sslcompression": "0",
    "sslcrl": _NO_FILE,
    "sslcrldir": "",
    "sslnegotiation": "postgres",
    "sslsni": "1",
    "target_session_attrs": "any",
    "tcp_user_timeout": "30000",
}


def open_connection(target: Target) -> PGconn:
    """Return a connection that is logged in, before the target's connect time-out is over.

    The time covers resolving the name, every address it has, TLS and the login.
    """
    deadline = time.monotonic() + target.connect_timeout_seconds
    if not target.username:
        raise ReadError(FailureKind.LOGIN, "no user name", "Give the credential a user name.")
    with _authority(target) as tls:
        addresses = _addresses(target, deadline)
        for tried, address in enumerate(addresses, start=1):
            now = time.monotonic()
            share = now + (deadline - now) / (len(addresses) - tried + 1)
            try:
                return _attempt(target, {**tls, **address}, share)
            except ReadError as error:
                last = error
                if error.kind not in {
                    FailureKind.REFUSED,
                    FailureKind.UNREACHABLE,
                    FailureKind.CONNECT_TIMEOUT,
                }:
                    raise
    raise last


def _attempt(target: Target, extra: dict[str, str], deadline: float) -> PGconn:
    conninfo = make_conninfo(
        "",
        **_EXPLICIT,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database or "postgres",
        **extra,
    )
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        _finish_connecting(target, connection, deadline)
    except BaseException:
        connection.finish()
        raise
    connection.nonblocking = 1
    return connection


def _finish_connecting(target: Target, connection: PGconn, deadline: float) -> None:
    state = pq.PollingStatus.WRITING
    while state != pq.PollingStatus.OK:
        if connection.status == pq.ConnStatus.BAD or state == pq.PollingStatus.FAILED:
            raise connect_error(target, connection.get_error_message())
        reading = state == pq.PollingStatus.READING
        events = selectors.EVENT_READ if reading else selectors.EVENT_WRITE
        if not _ready(connection.socket, events, deadline):
            raise _silent(target)
        state = pq.PollingStatus(connection.connect_poll())


def _ready(fileno: int, events: int, deadline: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(fileno, events)
        return bool(selector.select(max(deadline - time.monotonic(), 0)))


def _silent(target: Target) -> ReadError:
    return ReadError(
        FailureKind.CONNECT_TIMEOUT,
        f"{target.host} port {target.port} gave no answer within "
        f"{target.connect_timeout_seconds:g} s",
        "Is a firewall in between, or does something else than PostgreSQL listen there?",
    )


def _addresses(target: Target, deadline: float) -> list[dict[str, str]]:
    """Return host parameters, one set an address; resolving cannot outlast the deadline."""
    if target.host.startswith("/"):
        return [{"host": target.host, "hostaddr": ""}]
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        found = _resolve(target, deadline)
        return [{"host": target.host, "hostaddr": address} for address in found]
    return [{"host": target.host, "hostaddr": target.host}]


def _resolve(target: Target, deadline: float) -> list[str]:
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.put(OSError(str(error)))

    # The resolver has no time-out that we could set; a thread that is too late is left behind.
    threading.Thread(target=ask, name="whalefall-resolve", daemon=True).start()
    remedy = "Check the host name and this machine's resolver."
    try:
        answer = answers.get(timeout=max(deadline - time.monotonic(), 0))
    except queue.Empty:
        raise ReadError(
            FailureKind.DNS, f"the name {target.host} was not resolved in time", remedy
        ) from None
    if isinstance(answer, OSError):
        message = f"the name {target.host} cannot be resolved: {answer}"
        raise ReadError(FailureKind.DNS, message, remedy)
    return answer


@contextmanager
def _authority(target: Target) -> Iterator[dict[str, str]]:
    """Yield libpq's TLS parameters; the authority's PEM lives in a private file meanwhile."""
    if target.host.startswith("/"):
        yield {"sslmode": "disable", "sslrootcert": _NO_FILE, "require_auth": _ANY_AUTH}
        return
    if target.tls_mode in {TlsMode.REQUIRE, TlsMode.DISABLE}:
        # Whoever answers may not be who we think: it gets no password in clear text.
        yield {
            "sslmode": target.tls_mode.value,
            "sslrootcert": _NO_FILE,
            "require_auth": "!password",
        }
        return
    if target.tls_ca is None and target.tls_mode is TlsMode.VERIFY_CA:
        raise ReadError(
            FailureKind.TLS,
            "TLS mode verify-ca needs the authority's certificate, and this instance has none",
            "Give the authority's PEM as this instance's CA. (With the system's authorities only "
            "verify-full makes sense: anybody can get a certificate of theirs for some name.)",
        )
    if target.tls_ca is None:
        yield {"sslmode": "verify-full", "sslrootcert": "system", "require_auth": _ANY_AUTH}
        return
    with tempfile.TemporaryDirectory(prefix="whalefall-ca-") as folder:
        path = Path(folder, "ca.pem")
        path.write_text(target.tls_ca, encoding="utf-8")
        yield {
            "sslmode": target.tls_mode.value,
            "sslrootcert": str(path),
            "require_auth": _ANY_AUTH,
        }
