"""One read-only session: every question of a scope in one round trip, from one snapshot."""

from __future__ import annotations

import codecs
import selectors
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Receipt, Target
from app.repositories.remote.postgresql.connecting import open_connection
from app.repositories.remote.postgresql.failures import query_error
from app.repositories.remote.postgresql.queries import query
from app.repositories.remote.postgresql.quoting import literal

OLDEST_MAJOR = 13
GRACE_SECONDS = 3.0
"""How much longer than a statement may take we wait for a server that has fallen silent."""

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WITHOUT_SNAPSHOT = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
_PINNED = {
    "search_path": "pg_catalog",  # nothing that a database holds can shadow a name of the catalog
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "quote_all_identifiers": "off",
    "client_min_messages": "error",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


@dataclass
class Session:
    """A logged-in connection to one database of a server of a supported version."""

    connection: PGconn
    target: Target
    receipt: Receipt

    @property
    def version_number(self) -> int:
        """The server's version as 180003 for 18.3."""
        return self.connection.server_version

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.version_number // 10000

    @property
    def version(self) -> str:
        """The server's version as people write it."""
        return f"{self.major}.{self.version_number % 10000}"

    @property
    def encoding(self) -> str:
        """Python's name of the database's encoding, or UTF-8 where Python has none for it."""
        name = (self.connection.parameter_status(b"server_encoding") or b"UTF8").decode()
        try:
            return codecs.lookup(name.replace("WIN", "cp")).name
        except LookupError:
            return "utf-8"

    def copy_out(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the raw answers of the named ``.sql`` files, all from one snapshot.

        They go in one message: the whole scope costs one round trip, whatever it holds.
        """
        answers, error = self._copy(_BEGIN, names, {})
        if error is not None:
            raise error
        if len(answers) != len(names):
            raise ReadError(FailureKind.QUERY, "the server answered only a part of what was asked")
        return dict(zip(names, answers, strict=True))

    def copy_rows(self, name: str, given: Mapping[str, str]) -> tuple[bytes, ReadError | None]:
        """Return what one ``.sql`` file answered before it failed, and why it failed, if it did.

        ``given`` are its parameters: it asks for them as ``current_setting('whalefall.<name>')``.
        A lost connection raises; after any other failure the session is as good as before.
        """
        answers, error = self._copy(_BEGIN_WITHOUT_SNAPSHOT, [name], given)
        if error is not None and self.connection.status == pq.ConnStatus.BAD:
            raise error
        return (answers[0] if answers else b""), error

    def _copy(
        self, begin: str, names: Sequence[str], given: Mapping[str, str]
    ) -> tuple[list[bytes], ReadError | None]:
        """Return the answers, the last one cut off where it failed, and the failure."""
        script = [begin, self._settings(given)]
        script += [f"COPY (\n{query(name, self.major)}\n) TO STDOUT" for name in names]
        script.append("COMMIT")
        self.connection.send_query(";\n".join(script).encode())
        answers: list[bytes] = []
        complete = 0
        error: ReadError | None = None
        while (result := self._result()) is not None:
            if result.status == pq.ExecStatus.COPY_OUT:
                answers.append(self._copied())
            elif result.status == pq.ExecStatus.FATAL_ERROR:
                what = names[complete] if complete < len(names) else "session"
                error = error or self._failed(what.replace("_", " "), result)
            elif (result.command_status or b"").startswith(b"COPY"):
                complete += 1
                self.receipt.add(rows=result.command_tuples or 0)
        self.receipt.add(queries=len(script), bytes=sum(map(len, answers)))
        if self.connection.transaction_status == pq.TransactionStatus.INERROR:
            self.connection.send_query(b"ROLLBACK")
            while self._result() is not None:
                pass
        return answers, error

    def _settings(self, given: Mapping[str, str]) -> str:
        """Return the statement that pins what would change the meaning or the cost of the others.

        Local to the transaction, so that it works behind a pooler as well. The client's encoding is
        the database's: names written in another one than the database's would fail to convert.
        """
        milliseconds = {
            "statement_timeout": self.target.statement_timeout_seconds,
            "lock_timeout": self.target.lock_timeout_seconds,
            "idle_in_transaction_session_timeout": self.target.statement_timeout_seconds,
        }
        settings = {name: f"'{round(value * 1000)}'" for name, value in milliseconds.items()}
        settings |= {name: literal(value) for name, value in _PINNED.items()}
        settings |= {f"whalefall.{name}": literal(value) for name, value in given.items()}
        settings["client_encoding"] = "pg_catalog.getdatabaseencoding()"
        calls = [
            f"pg_catalog.set_config('{name}', {value}, true)" for name, value in settings.items()
        ]
        return f"SELECT {', '.join(calls)}"

    def _result(self) -> PGresult | None:
        while self.connection.flush():
            self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE)
        while self.connection.is_busy():
            self._wait(selectors.EVENT_READ)
        return self.connection.get_result()

    def _copied(self) -> bytes:
        """Return the rows of the COPY under way, as they came."""
        get, chunks = self.connection.get_copy_data, []
        while True:
            length, data = get(1)
            if length > 0:
                chunks.append(bytes(data))
            elif length == 0:
                self._wait(selectors.EVENT_READ)
            else:
                return b"".join(chunks)

    def _wait(self, events: int) -> None:
        """Wait for the server; end a wait that its own time-outs should have ended."""
        limit = self.target.statement_timeout_seconds + GRACE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection.socket, events)
            if not selector.select(limit):
                raise ReadError(
                    FailureKind.STATEMENT_TIMEOUT,
                    f"the server fell silent in the middle of an answer for {limit:g} s",
                    "Is the machine or the network in between hung? Its own time-outs did not act.",
                )
        try:
            self.connection.consume_input()
        except psycopg.OperationalError as error:
            raise _lost(str(error)) from None

    def _failed(self, what: str, result: PGresult) -> ReadError:
        field = result.error_field
        sqlstate = (field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = (field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        if not sqlstate:
            return _lost(result.get_error_message())
        return query_error(self.target, what, sqlstate, message)


def _lost(message: str) -> ReadError:
    said = " ".join(message.split())
    return ReadError(
        FailureKind.LOST, f"the connection was lost: {said}", "Try again; see the server's log."
    )


@contextmanager
def connect(target: Target, receipt: Receipt) -> Iterator[Session]:
    """Open one read-only session; it is closed when the block ends, whatever happens."""
    connection = open_connection(target)
    try:
        session = Session(connection, target, receipt)
        if session.major < OLDEST_MAJOR:
            raise ReadError(
                FailureKind.UNSUPPORTED,
                f"the server says that it is PostgreSQL {session.version}",
                f"PostgreSQL {OLDEST_MAJOR} and later can be read; no pooler's admin console.",
            )
        yield session
    finally:
        connection.finish()
