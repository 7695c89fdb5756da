"""Try a connection one step at a time, so that a failure says which step to repair."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

from app.constants.engines import Engine, TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote import EngineReader, reader_for
from app.repositories.remote.facts import (
    DatabaseFact,
    ReadError,
    Receipt,
    ServerContent,
    Target,
)

_DATABASES_AT_ONCE = 4
_BEFORE_LOGIN = frozenset(
    {
        FailureKind.DNS,
        FailureKind.REFUSED,
        FailureKind.UNREACHABLE,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.LOST,
    }
)
"""Failures of connect() that leave open how far the encryption came."""


class StepState(StrEnum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but something stays invisible."""
    FAILED = "failed"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True)
class Step:
    """One step of a connection; ``remedy`` says what to do, in words or as SQL to paste."""

    name: str
    """dns, tcp, tls, login, accounts, rights, databases, or database for one of them."""
    state: StepState
    detail: str
    remedy: str | None = None
    error_code: str | None = None
    """A word of FailureKind."""
    duration_ms: int = 0


def connection_steps(
    name: str, target: Target, *, progress: Callable[[int, int], None] | None = None
) -> Iterator[Step]:
    """Yield the steps to the instance of that name as they end; nothing follows a failed one.

    1. dns: the name has an address.
    2. tcp: somebody listens there (or at the Unix socket).
    3. tls, login: as the reader of this engine connects.
    4. accounts: the list of accounts can be read.
    5. rights: what our account may not see, each with its remedy.
    6. databases: each one that cannot be entered (``progress`` is told: entered, of how many).
    """
    if target.host.startswith("/"):
        yield Step("dns", StepState.NOT_NEEDED, "a Unix socket needs no name")
        reached = _try_socket(target)
    else:
        found = _resolve(name, target)
        yield found
        if found.state is StepState.FAILED:
            return
        reached = _try_tcp(target)
    yield reached
    if reached.state is StepState.FAILED:
        return
    reader = reader_for(target.engine)
    content: ServerContent | None = None
    for step in _log_in_and_read(name, reader, target):
        if isinstance(step, Step):
            yield step
        else:
            content = step
    if content is not None:
        yield from _rights(content)
        if content.databases:
            yield from _databases(reader, target, content.databases, progress)


def _resolve(name: str, target: Target) -> Step:
    started = time.monotonic()
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        return Step(
            "dns",
            StepState.FAILED,
            f"{target.host} has no address: {reason}",
            f"Check it on this machine: getent hosts {target.host}\n"
            f"If it is misspelt: whalefall instance edit {name} --host …",
            FailureKind.DNS,
            _ms(started),
        )
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    if addresses == [target.host]:
        return Step("dns", StepState.NOT_NEEDED, "an address needs no name")
    return Step("dns", StepState.OK, ", ".join(addresses), duration_ms=_ms(started))


def _try_tcp(target: Target) -> Step:
    started = time.monotonic()
    where = f"{target.host} port {target.port}"
    try:
        with socket.create_connection(
            (target.host, target.port), timeout=target.connect_timeout_seconds
        ) as connection:
            address = connection.getpeername()[0]
    except TimeoutError:
        return Step(
            "tcp",
            StepState.FAILED,
            f"{where} did not answer within {target.connect_timeout_seconds:g} s",
            "Usually a firewall drops the packets: open the port for this machine.",
            FailureKind.CONNECT_TIMEOUT,
            _ms(started),
        )
    except ConnectionRefusedError:
        return Step(
            "tcp",
            StepState.FAILED,
            f"nobody listens at {where}",
            "Check the port, that the server runs, and that it listens on this address "
            + (
                "(listen_addresses in postgresql.conf)."
                if target.engine is Engine.POSTGRESQL
                else "(bind_address in my.cnf)."
            ),
            FailureKind.REFUSED,
            _ms(started),
        )
    except OSError as error:
        return Step(
            "tcp",
            StepState.FAILED,
            f"{where} cannot be reached: {error.strerror or error}",
            "Check the route from this machine to the server.",
            FailureKind.UNREACHABLE,
            _ms(started),
        )
    return Step("tcp", StepState.OK, f"{address} port {target.port}", duration_ms=_ms(started))


def _try_socket(target: Target) -> Step:
    started = time.monotonic()
    path = target.host
    if target.engine is Engine.POSTGRESQL:
        path = f"{target.host.rstrip('/')}/.s.PGSQL.{target.port}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(target.connect_timeout_seconds)
            connection.connect(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return Step(
            "tcp",
            StepState.FAILED,
            f"no server answers at {path}: {error.strerror or error}",
            "For PostgreSQL the host is the socket's directory, the port part of its name; "
            "for MySQL and MariaDB the host is the socket itself."
            if missing
            else "Check that the server runs and that this user may open its socket.",
            FailureKind.REFUSED,
            _ms(started),
        )
    return Step("tcp", StepState.OK, path, duration_ms=_ms(started))


def _log_in_and_read(
    name: str, reader: EngineReader, target: Target
) -> Iterator[Step | ServerContent]:
    started = time.monotonic()
    connected = False
    try:
        with reader.connect(target, Receipt()) as session:
            connected = True
            yield _tls_step(name, target)
            yield Step("login", StepState.OK, f"as {target.username}", duration_ms=_ms(started))
            started = time.monotonic()
            content = reader.read_server(session)
            known = len(content.accounts())
    except ReadError as error:
        if connected:
            yield _failed("accounts", error, started)
            return
        if error.kind is FailureKind.TLS:
            yield _failed("tls", error, started)
            return
        if error.kind not in _BEFORE_LOGIN:
            yield _tls_step(name, target)
        yield _failed("login", error, started)
        return
    yield Step(
        "accounts",
        StepState.OK,
        f"{known:,} accounts and roles, server {content.version}",
        duration_ms=_ms(started),
    )
    yield content


def _tls_step(name: str, target: Target) -> Step:
    if target.host.startswith("/"):
        return Step("tls", StepState.NOT_NEEDED, "a Unix socket does not leave the machine")
    if target.tls_mode is TlsMode.DISABLE:
        return Step(
            "tls",
            StepState.WARNING,
            "switched off: what is read travels in clear text",
            f"Once the server has a certificate: whalefall instance edit {name} --tls verify-full",
        )
    if target.tls_mode is TlsMode.REQUIRE:
        return Step(
            "tls",
            StepState.WARNING,
            "encrypted, but nobody checked who answers",
            f"Give the CA: whalefall instance edit {name} --tls verify-full --tls-ca ca.pem",
        )
    checked = "name and authority" if target.tls_mode is TlsMode.VERIFY_FULL else "authority"
    return Step("tls", StepState.OK, f"{target.tls_mode.value}: {checked} checked")


def _rights(content: ServerContent) -> Iterator[Step]:
    for error in content.missing:
        yield Step("rights", StepState.WARNING, error.message, error.remedy, error.kind)
    if not content.missing:
        yield Step("rights", StepState.OK, "our account may see everything that is read there")


def _databases(
    reader: EngineReader,
    target: Target,
    databases: tuple[DatabaseFact, ...],
    progress: Callable[[int, int], None] | None,
) -> Iterator[Step]:
    started = time.monotonic()
    closed = [d for d in databases if d.skip_reason is not None]
    to_enter = [d for d in databases if d.skip_reason is None]
    entered = 0
    for database in closed:
        if not database.expected_skip:
            yield Step("database", StepState.WARNING, f"{database.name}: {database.skip_reason}")
    with ThreadPoolExecutor(_DATABASES_AT_ONCE, thread_name_prefix="enter-database") as pool:
        try:
            attempts = pool.map(lambda d: _enter(reader, target, d), to_enter)
            for number, (database, error) in enumerate(zip(to_enter, attempts, strict=True), 1):
                if error is None:
                    entered += 1
                else:
                    yield Step(
                        "database",
                        StepState.WARNING,
                        f"{database.name}: {error.message}",
                        error.remedy,
                        error.kind,
                    )
                if progress is not None:
                    progress(number, len(to_enter))
        finally:
            pool.shutdown(cancel_futures=True)
    whole = entered == len(to_enter)
    yield Step(
        "databases",
        StepState.OK if whole else StepState.WARNING,
        f"{entered:,} of {len(to_enter):,} can be entered"
        + ("" if whole else ": what is granted inside the others stays unknown"),
        duration_ms=_ms(started),
    )


def _enter(reader: EngineReader, target: Target, database: DatabaseFact) -> ReadError | None:
    try:
        with reader.connect(replace(target, database=database.name), Receipt()):
            return None
    except ReadError as error:
        return error


def _failed(name: str, error: ReadError, started: float) -> Step:
    return Step(name, StepState.FAILED, error.message, error.remedy, error.kind, _ms(started))


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
