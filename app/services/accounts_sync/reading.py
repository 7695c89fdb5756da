"""Read one instance, scope by scope; a scope that cannot be read costs no other scope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from app.constants.reading import ScopeStatus
from app.repositories.remote import EngineReader
from app.repositories.remote.facts import (
    DatabaseFact,
    ReadError,
    Receipt,
    ScopeContent,
    ServerContent,
    Target,
)

_RETRY_AFTER_SECONDS = 0.5


@dataclass(frozen=True)
class ScopeReading:
    """How the read of one scope ended. ``content`` is None if nothing of it could be read."""

    database: DatabaseFact | None
    """None is the server."""
    status: ScopeStatus
    duration_ms: int
    content: ScopeContent | None = None
    reason: str | None = None
    remedy: str | None = None
    expected: bool = False
    """A skip that every healthy server of the engine shows: it does not make a run partial."""

    @property
    def name(self) -> str:
        """The scope's name as observations show it."""
        return "server" if self.database is None else self.database.name


def read_server(reader: EngineReader, target: Target, receipt: Receipt) -> ScopeReading:
    """Read the server scope.

    Raises:
        ReadError: The list of accounts could not be read, so that nothing may be concluded.

    """
    started = time.monotonic()
    with reader.connect(target, receipt) as session:
        content = reader.read_server(session)
    return _seen(None, content, started)


@contextmanager
def read_databases(
    reader: EngineReader,
    target: Target,
    server: ServerContent,
    receipt: Receipt,
    *,
    at_once: int,
    checkpoint: Callable[[], None],
) -> Iterator[Iterator[ScopeReading]]:
    """Begin to read the listed databases, at most ``at_once`` sessions at a time.

    Yields one reading per database, as they end; the first ones are read while the caller still
    does something else. A reading that nobody has taken yet holds its place, so that memory stays
    bounded by ``at_once``. Taking one raises what ``checkpoint`` raises between two databases.
    """
    waiting = iter([d for d in server.databases if d.skip_reason is None])
    running: set[Future[ScopeReading]] = set()
    with ThreadPoolExecutor(at_once, thread_name_prefix="read-database") as pool:

        def fill_up() -> None:
            while len(running) < at_once and (following := next(waiting, None)) is not None:
                running.add(pool.submit(_read_database, reader, target, following, receipt, server))

        def readings() -> Iterator[ScopeReading]:
            for database in server.databases:
                if database.skip_reason is not None:
                    yield _skipped(database, database.skip_reason)
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                running.difference_update(done)
                for future in done:
                    yield future.result()
                checkpoint()
                fill_up()

        try:
            fill_up()
            yield readings()
        finally:
            for future in running:
                future.cancel()


def coverage(counts: Mapping[ScopeStatus, int]) -> dict[str, int]:
    """Return the number of scopes by the way they ended, in a fixed order."""
    return {status.value: counts.get(status, 0) for status in ScopeStatus}


def _skipped(database: DatabaseFact, reason: str) -> ScopeReading:
    return ScopeReading(
        database,
        ScopeStatus.SKIPPED,
        duration_ms=0,
        reason=reason,
        expected=database.expected_skip,
    )


def _read_database(
    reader: EngineReader,
    target: Target,
    database: DatabaseFact,
    receipt: Receipt,
    server: ServerContent,
) -> ScopeReading:
    started = time.monotonic()
    try:
        try:
            content = reader.read_database(target, database, receipt, server.version)
        except ReadError as error:
            if not error.transient:
                raise
            time.sleep(_RETRY_AFTER_SECONDS)
            content = reader.read_database(target, database, receipt, server.version)
    except ReadError as error:
        return ScopeReading(
            database,
            error.status,
            duration_ms=_ms_since(started),
            reason=error.message,
            remedy=error.remedy,
        )
    return _seen(database, content, started)


def _seen(database: DatabaseFact | None, content: ScopeContent, started: float) -> ScopeReading:
    missing = content.missing
    return ScopeReading(
        database,
        ScopeStatus.PARTIAL if missing else ScopeStatus.FULL,
        duration_ms=_ms_since(started),
        content=content,
        reason="; ".join(error.message for error in missing) or None,
        remedy="\n".join(error.remedy for error in missing if error.remedy) or None,
    )


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
