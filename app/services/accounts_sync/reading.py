"""Read one instance, scope by scope; a scope that cannot be read costs no other scope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain

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
from app.services.instances.reading import several_at_once, twice_if_it_passes


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
    reads = (
        partial(_read_database, reader, target, database, receipt, server)
        for database in server.databases
        if database.skip_reason is None
    )
    skipped = (
        _skipped(database, database.skip_reason)
        for database in server.databases
        if database.skip_reason is not None
    )
    with several_at_once(reads, at_once=at_once, checkpoint=checkpoint) as readings:
        yield chain(skipped, readings)


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
        content = twice_if_it_passes(
            lambda: reader.read_database(target, database, receipt, server.version)
        )
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
