"""One read-only session on a MySQL or MariaDB server, and how its failures are told."""

from __future__ import annotations

import marshal
import math
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR, ER
from pymysql.converters import conversions
from pymysql.cursors import SSCursor

from app.constants.engines import Engine, TlsMode
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Receipt, Target

Row = tuple[Any, ...]
Rows = tuple[Row, ...]

LOCK_WAIT_TIMEOUT = "Lock wait timeout exceeded; try restarting transaction"
GRACE_SECONDS = 5.0
"""The server ends a slow statement itself; if it has not so much later, we hang up."""

_AS_SENT: dict[Any, Any] = {key: do for key, do in conversions.items() if not isinstance(key, int)}
"""Values are left as text, as the server sends them: most answers are only digested."""

_LOGIN = "check the user name, its host part as the server sees it, and the password"
_KINDS: dict[int, tuple[FailureKind, str | None]] = {
    ER.ACCESS_DENIED_ERROR: (FailureKind.LOGIN, _LOGIN),
    1698: (FailureKind.LOGIN, _LOGIN),  # denied without a password
    3118: (FailureKind.LOGIN, "unlock the account: ALTER USER … ACCOUNT UNLOCK"),
    4151: (FailureKind.LOGIN, "unlock the account: ALTER USER … ACCOUNT UNLOCK"),
    1820: (FailureKind.LOGIN, "its password has expired: set a new one"),
    1862: (FailureKind.LOGIN, "its password has expired: set a new one"),
    ER.HOST_NOT_PRIVILEGED: (FailureKind.LOGIN, "allow this host in the account's host part"),
    ER.HOST_IS_BLOCKED: (FailureKind.LOGIN, "too many failed connections: FLUSH HOSTS"),
    ER.NOT_SUPPORTED_AUTH_MODE: (FailureKind.UNSUPPORTED, None),
    CR.CR_AUTH_PLUGIN_CANNOT_LOAD: (FailureKind.UNSUPPORTED, "use a password account"),
    3159: (FailureKind.TLS, "the server insists on TLS: change the instance's TLS mode"),
    CR.CR_SSL_CONNECTION_ERROR: (
        FailureKind.TLS,
        "the server offers no TLS: enable it there, or set the instance's TLS mode to disable",
    ),
    ER.BAD_DB_ERROR: (FailureKind.NO_DATABASE, None),
    ER.CON_COUNT_ERROR: (FailureKind.TOO_MANY_CONNECTIONS, None),
    1203: (FailureKind.TOO_MANY_CONNECTIONS, None),  # of this account
    1226: (FailureKind.TOO_MANY_CONNECTIONS, "raise the account's resource limits"),
    ER.TABLEACCESS_DENIED_ERROR: (FailureKind.DENIED, None),
    ER.COLUMNACCESS_DENIED_ERROR: (FailureKind.DENIED, None),
    ER.DBACCESS_DENIED_ERROR: (FailureKind.DENIED, None),
    ER.SPECIFIC_ACCESS_DENIED_ERROR: (FailureKind.DENIED, None),
    3024: (FailureKind.STATEMENT_TIMEOUT, "raise the statement time-out"),
    1969: (FailureKind.STATEMENT_TIMEOUT, "raise the statement time-out"),
    ER.LOCK_WAIT_TIMEOUT: (FailureKind.LOCKED, None),
    ER.SERVER_SHUTDOWN: (FailureKind.LOST, None),
    1317: (FailureKind.LOST, None),  # somebody killed the statement
    1927: (FailureKind.LOST, None),  # somebody killed the connection
    CR.CR_SERVER_GONE_ERROR: (FailureKind.LOST, None),
    CR.CR_SERVER_LOST: (FailureKind.LOST, None),
}


class _Connection(Connection):
    """PyMySQL, but for two things.

    It waits for the greeting as long as for an answer: here each has its own time-out. It forgets
    to close a Unix socket that nobody listens at: here the socket is opened outside of it.
    """

    def log_in(self, opened: socket.socket) -> None:
        """Greet and log in over an open socket; closes it on failure."""
        self._secure = opened.family == socket.AF_UNIX
        try:
            self.connect(opened)
        except BaseException:
            opened.close()
            raise

    def patience(self, seconds: float) -> None:
        """Hang up when the server stays silent for so long."""
        self._read_timeout = seconds
        self._write_timeout = seconds


@dataclass
class Session:
    """An open session, and what it has cost so far."""

    target: Target
    connection: _Connection
    receipt: Receipt
    version: str
    rights: dict[str, bool] = field(default_factory=dict)
    missing: list[ReadError] = field(default_factory=list)

    def ask(self, sql: str) -> Rows:
        """Return every row of an answer, values as text.

        Raises:
            ReadError: whatever went wrong.

        """
        self.receipt.add(queries=1)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                rows: Rows = tuple(cursor.fetchall())
        except (pymysql.err.MySQLError, OSError) as exc:
            raise as_read_error(exc, self.target) from exc
        self.receipt.add(rows=len(rows))
        return rows

    def ask_carefully(self, sql: str) -> tuple[Rows, frozenset[str]]:
        """Return every row of an answer, values as text, and what the server warned of.

        Raises:
            ReadError: whatever went wrong.

        """
        self.receipt.add(queries=1)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                rows: Rows = tuple(cursor.fetchall())
                warned = bool(cursor.warning_count)
        except (pymysql.err.MySQLError, OSError) as exc:
            raise as_read_error(exc, self.target) from exc
        self.receipt.add(rows=len(rows), bytes=sum(map(bytes_of, rows)))
        if not warned:
            return rows, frozenset()
        messages = frozenset(message for _, _, message in self.ask("SHOW WARNINGS"))
        # a server that keeps no messages (max_error_count = 0) warns of locks first of all
        return rows, messages or frozenset({LOCK_WAIT_TIMEOUT})

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of an answer as they come, values as text; ask nothing else meanwhile.

        Raises:
            ReadError: whatever went wrong.

        """
        self.receipt.add(queries=1)
        try:
            with self.connection.cursor(SSCursor) as cursor:
                cursor.execute(sql)
                for row in cursor:
                    self.receipt.add(rows=1, bytes=bytes_of(row))
                    yield row
        except (pymysql.err.MySQLError, OSError) as exc:
            raise as_read_error(exc, self.target) from exc

    def ask_table(self, table: str, sql: str) -> tuple[Rows, bytes]:
        """Return the rows of a table of rights and their bytes, or note why there are none.

        A denied or failed answer stands in ``missing`` afterwards; a lost connection raises.
        """
        right = f"SELECT ON {table}"
        try:
            rows = self.ask(sql)
        except ReadError as error:
            if error.kind is FailureKind.LOST:
                raise
            if error.kind is FailureKind.DENIED:
                self.rights[right] = False
                error.remedy = grants_needed(self.target, [table])
            error.message = f"{table}: {error.message}"
            self.missing.append(error)
            return (), b"missing"
        self.rights[right] = True
        raw = marshal.dumps(rows, 2)  # version 2 keeps no references: equal rows, equal bytes
        self.receipt.add(bytes=len(raw))
        return rows, raw


def bytes_of(row: Row) -> int:
    """Return how much a row of text holds."""
    return sum(map(len, filter(None, row)))


@contextmanager
def open_session(target: Target, receipt: Receipt, limits: Sequence[str]) -> Iterator[Session]:
    """Log in for reading only.

    Args:
        target: where and how; a host that starts with "/" is the path of a Unix socket.
        receipt: where the cost is counted.
        limits: what the engine calls its statement time-out, as assignments of SET SESSION.

    Raises:
        ReadError: the server cannot be reached, refuses us, or is another engine.

    """
    by_socket = target.host.startswith("/")
    try:
        connection = _Connection(
            host="localhost" if by_socket else target.host,
            port=target.port,
            user=target.username,
            password=target.password,
            database=target.database,
            ssl=None if by_socket else tls_context(target),
            ssl_disabled=by_socket or target.tls_mode is TlsMode.DISABLE,
            charset="utf8mb4",
            conv=_AS_SENT,
            connect_timeout=max(1, math.ceil(target.connect_timeout_seconds)),
            read_timeout=target.connect_timeout_seconds,
            write_timeout=target.connect_timeout_seconds,
            autocommit=True,
            local_infile=False,
            program_name="whalefall",
            read_default_file=None,
            defer_connect=True,
        )
        connection.log_in(_open_socket(target))
    except (pymysql.err.MySQLError, OSError) as exc:
        raise as_read_error(exc, target, connecting=True) from exc
    except RuntimeError as exc:  # PyMySQL: the account's plugin needs what this connection is not
        raise ReadError(FailureKind.LOGIN, f"cannot log in: {exc}") from exc
    try:
        version = str(connection.get_server_info())  # type: ignore[no-untyped-call]  # the stub's gap
        _insist_on_engine(target, version)
        connection.patience(target.statement_timeout_seconds + GRACE_SECONDS)
        session = Session(target, connection, receipt, version)
        lock_wait = max(1, math.ceil(target.lock_timeout_seconds))
        settings = ["sql_mode = ''", "time_zone = '+00:00'", f"lock_wait_timeout = {lock_wait}"]
        session.ask("SET SESSION " + ", ".join([*settings, *limits]))
        session.ask("SET SESSION TRANSACTION READ ONLY")
        session.ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield session
    finally:
        connection.close()


def _open_socket(target: Target) -> socket.socket:
    seconds = target.connect_timeout_seconds
    if not target.host.startswith("/"):
        opened = socket.create_connection((target.host, target.port), seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return opened
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.settimeout(seconds)
        opened.connect(target.host)
    except OSError:
        opened.close()
        raise
    return opened


def tls_context(target: Target) -> ssl.SSLContext | None:
    """Return how the server has to prove itself; None if it need not even encrypt.

    Raises:
        ReadError: the authority's file cannot be read.

    """
    if target.tls_mode is TlsMode.DISABLE:
        return None
    try:
        context = ssl.create_default_context(cafile=target.tls_ca)
    except (OSError, ssl.SSLError) as exc:
        message = f"cannot read the certificate authority {target.tls_ca}: {exc}"
        raise ReadError(FailureKind.TLS, message, "give a PEM file") from exc
    # Certificates that these servers make for themselves lack extensions that "strict" asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = target.tls_mode is TlsMode.VERIFY_FULL
    if target.tls_mode is TlsMode.REQUIRE:
        context.verify_mode = ssl.CERT_NONE
    return context


def as_read_error(
    exc: pymysql.err.MySQLError | OSError, target: Target, *, connecting: bool = False
) -> ReadError:
    """Return what a failure of the driver means to us; no message holds a secret."""
    cause = getattr(exc, "original_exception", exc)
    if isinstance(cause, OSError) and not isinstance(cause, pymysql.err.MySQLError):
        return _as_network_error(cause, target, connecting=connecting)
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    message = str(exc.args[1]) if len(exc.args) > 1 else str(exc)
    if "timed out" in message and code in (CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR):
        if connecting:
            message = f"no greeting within {target.connect_timeout_seconds:g} s"
            return ReadError(FailureKind.CONNECT_TIMEOUT, message)
        return ReadError(FailureKind.STATEMENT_TIMEOUT, "the server stopped answering")
    kind, remedy = _KINDS.get(code, (FailureKind.QUERY, None))
    return ReadError(kind, f"{message} ({code})" if code else message, remedy)


def _as_network_error(cause: OSError, target: Target, *, connecting: bool) -> ReadError:
    where = target.host if target.host.startswith("/") else f"{target.host}:{target.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        remedy = "name the authority's PEM file, or relax the TLS mode (verify-ca, require)"
        message = f"{where}: the certificate is not trusted: {cause.verify_message}"
        return ReadError(FailureKind.TLS, message, remedy)
    if isinstance(cause, ssl.SSLError):
        return ReadError(FailureKind.TLS, f"{where}: {cause.reason or cause}")
    if isinstance(cause, socket.gaierror):
        return ReadError(FailureKind.DNS, f"{target.host}: {cause.strerror}")
    if isinstance(cause, TimeoutError):
        if connecting:
            message = f"{where} did not answer within {target.connect_timeout_seconds:g} s"
            return ReadError(FailureKind.CONNECT_TIMEOUT, message)
        return ReadError(FailureKind.STATEMENT_TIMEOUT, "the server stopped answering")
    if isinstance(cause, (ConnectionRefusedError, FileNotFoundError)):
        return ReadError(FailureKind.REFUSED, f"nothing listens at {where}")
    if connecting:
        return ReadError(FailureKind.UNREACHABLE, f"{where}: {cause.strerror or cause}")
    return ReadError(FailureKind.LOST, f"{where}: {cause.strerror or cause}")


def version_numbers(version: str) -> tuple[int, int, int]:
    """Return (10, 11, 19) for "5.5.5-10.11.19-MariaDB": the prefix is for old replicas only."""
    match = re.match(r"(?:5\.5\.5-(?=1\d\.))?(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        return (0, 0, 0)
    return (int(match[1]), int(match[2]), int(match[3]))


def _insist_on_engine(target: Target, version: str) -> None:
    """Refuse a server that is not what it is registered as, or too old to be read whole."""
    found = Engine.MARIADB if "mariadb" in version.lower() else Engine.MYSQL
    if found is not target.engine:
        message = f"registered as {target.engine}, but the server is {found} {version}"
        raise ReadError(FailureKind.UNSUPPORTED, message, "edit the instance's engine")
    oldest = {Engine.MYSQL: (8, 0, 16), Engine.MARIADB: (10, 5, 2)}[found]
    if version_numbers(version) < oldest:
        need = ".".join(map(str, oldest))
        message = f"{found} {version} is older than {need}"
        raise ReadError(FailureKind.UNSUPPORTED, message, f"upgrade to {need} or later")


def ourselves(target: Target) -> str:
    """Return our account as statements name it; its host part only the server knows."""
    return "'" + target.username.replace("'", "''") + "'@'…'"


def grants_needed(target: Target, tables: Iterable[str]) -> str:
    """Return the statements that let our account read these tables."""
    return "\n".join(f"GRANT SELECT ON {table} TO {ourselves(target)};" for table in tables)
