"""The server scope of capacity: databases and tablespaces, and how big each is as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from app.constants.capacity import StorageKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import DatabaseFact, ReadError
from app.repositories.remote.postgresql.copy_text import rows
from app.repositories.remote.postgresql.quoting import identifier
from app.repositories.remote.postgresql.server import listed_database
from app.repositories.remote.postgresql.session import Session
from app.repositories.remote.postgresql.sizes_measuring import (
    DENIED,
    GONE,
    SIZED,
    Measured,
    measure,
)
from app.repositories.remote.sizes import Budget, ServerSizes, SizeOfDatabase, SizeOfStorage

TIME_OUTS = 10
"""How many times as long as one statement may take all databases together may take."""


def read_server_sizes(session: Session) -> ServerSizes:
    """Read which databases and tablespaces there are, and how many bytes each holds.

    Databases that nobody may log in to are sized as well. One that we may not size, or that takes
    longer than a statement may, is listed without a size and loses no other; one that is dropped
    meanwhile is not listed. PostgreSQL does not know how much a volume has free: no volumes.
    """
    raw = session.copy_out(["databases", "tablespace_list"])
    encoding = session.encoding
    databases = [listed_database(row) for row in rows(raw["databases"], encoding)]
    tablespaces = [(str(key), str(name)) for key, name in rows(raw["tablespace_list"], encoding)]
    sized_databases = _measured(session, "database_sizes", [one.key for one in databases])
    sized_tablespaces = _measured(session, "tablespace_sizes", [key for key, _ in tablespaces])
    return ServerSizes(
        databases=tuple(
            _database(session, one, sized_databases[one.key])
            for one in databases
            if one.key in sized_databases
        ),
        storages=tuple(
            _tablespace(session, key, name, sized_tablespaces[key])
            for key, name in tablespaces
            if key in sized_tablespaces
        ),
        version=session.version,
    )


def _measured(session: Session, name: str, keys: Sequence[str]) -> dict[str, Measured]:
    """Return what is said of each key; what has gone meanwhile is left out."""
    budget = Budget(TIME_OUTS * session.target.statement_timeout_seconds)

    def ask(some: Sequence[str]) -> list[Measured]:
        return list(measure(session, name, some, lambda: None, lambda: budget.left_seconds))

    said = {one.key: one for one in ask(keys)}
    without_files = [key for key, one in said.items() if one.state == SIZED and not one.error]
    without_files = [key for key in without_files if said[key].fields[0] is None]
    said |= {one.key: one for one in ask(without_files)}  # dropped while it was being measured?
    late = ReadError(
        FailureKind.BUDGET,
        f"the others took {budget.seconds:g} s: its turn did not come",
        "What keeps the server's disk busy? Or let a statement take longer.",
    )
    waiting = {key: Measured(key, SIZED, [], late) for key in keys if key not in said}
    return {key: one for key, one in (said | waiting).items() if not _gone(one)}


def _gone(said: Measured) -> bool:
    return said.state == GONE or (
        said.error is not None and said.error.kind is FailureKind.NO_DATABASE
    )


def _database(session: Session, database: DatabaseFact, said: Measured) -> SizeOfDatabase:
    total, unsized = _size(session, said, "CONNECT on it")
    return SizeOfDatabase(database, total, unsized)


def _tablespace(session: Session, key: str, name: str, said: Measured) -> SizeOfStorage:
    used, unsized = _size(session, said, "CREATE on it")
    return SizeOfStorage(StorageKind.TABLESPACE, key, name, used, unsized=unsized)


def _size(session: Session, said: Measured, right: str) -> tuple[int | None, ReadError | None]:
    """Return the bytes, or why they are not known."""
    if said.error is not None:
        return None, said.error
    if said.state == DENIED:
        return None, ReadError(
            FailureKind.DENIED,
            f"its size may be asked for with {right}, or with the role pg_read_all_stats",
            f"GRANT pg_read_all_stats TO {identifier(session.target.username)};",
        )
    if said.fields[0] is None:
        return None, ReadError(
            FailureKind.QUERY,
            "the server finds none of its files",
            "Look for its directory below base/ or pg_tblspc/ of the data directory.",
        )
    return int(said.fields[0]), None
