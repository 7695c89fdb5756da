"""How big everything on a MySQL server is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from app.constants.capacity import StorageKind
from app.repositories.remote.facts import DatabaseFact, Receipt, Target
from app.repositories.remote.mysql.names import literal
from app.repositories.remote.mysql.server import connect
from app.repositories.remote.mysql.sizes_database import read_database
from app.repositories.remote.mysql.sizes_dialect import Dialect, Settings
from app.repositories.remote.mysql.sizes_server import read_server
from app.repositories.remote.mysql.sizes_storages import data_file_limit
from app.repositories.remote.mysql.sizes_tablespaces import ListedTablespace
from app.repositories.remote.mysql_session import Session
from app.repositories.remote.sizes import (
    Budget,
    Checkpoint,
    DatabaseSizes,
    Known,
    ServerSizes,
    SizeOfStorage,
)

SYSTEM = "innodb_system"
TEMPORARY = "innodb_temporary"
SESSIONS = "innodb_temp"
DICTIONARY = "mysql"


def read_server_sizes(session: Session) -> ServerSizes:
    """Read which databases and tablespaces there are.

    Raises:
        ReadError: the names of databases could not be read, or the connection was lost.

    """
    return read_server(session, MYSQL)


def read_database_sizes(
    target: Target,
    database: DatabaseFact,
    known: Known,
    budget: Budget,
    receipt: Receipt,
    version: str,  # noqa: ARG001 - the contract of readers
    checkpoint: Checkpoint,
) -> DatabaseSizes:
    """Read every table and partition of one database, in a session of its own.

    Raises:
        ReadError: nothing could be read.

    """
    return read_database(MYSQL, target, database, known, budget, receipt, checkpoint)


def _tablespaces(session: Session, schema: str | None) -> Iterator[ListedTablespace]:
    one_schema = ""
    if schema is not None:
        one_schema = f"AND LEFT(NAME, {len(schema) + 1}) = BINARY {literal(schema + '/')}"
    places = {", of one schema only": one_schema}
    # not in one statement: as a join it took a minute for 5 000 tablespaces, apart 50 ms
    paths: dict[str, str] = dict(session.stream(MYSQL.sql("tablespace_paths", **places)))
    rows = session.stream(MYSQL.sql("tablespaces", **places))
    for name, file_bytes, allocated_bytes, kind in rows:
        path = paths.get(name) if kind == "Single" else None
        encoded = name
        if path is not None:
            encoded = "/".join(path.replace("\\", "/").split("/")[-2:]).removesuffix(".ibd")
        yield ListedTablespace(encoded, name, int(file_bytes), int(allocated_bytes))


def _storages(
    session: Session, settings: Settings, others: tuple[ListedTablespace, ...]
) -> list[SizeOfStorage]:
    files = {
        name: (_number(size), _number(free), _number(limit) if limits == count else None)
        for name, size, free, count, limit, limits in session.ask(MYSQL.sql("tablespace_files"))
    }
    limits = {
        SYSTEM: data_file_limit(settings.get("innodb_data_file_path")),
        TEMPORARY: data_file_limit(settings.get("innodb_temp_data_file_path")),
    }
    used = {one.encoded: one.file_bytes for one in others}
    used.setdefault(SYSTEM, files.get(SYSTEM, (None, None, None))[0])
    storages = [
        SizeOfStorage(
            StorageKind.TABLESPACE,
            key=name,
            name=name,
            used_bytes=size,
            free_bytes=files.get(name, (None, None, None))[1],
            limit_bytes=limits.get(name) or files.get(name, (None, None, None))[2],
        )
        for name, size in used.items()
    ]
    ((of_sessions,),) = session.ask(MYSQL.sql("temporary_tablespaces"))
    storages.append(
        SizeOfStorage(StorageKind.TABLESPACE, SESSIONS, SESSIONS, _number(of_sessions) or 0)
    )
    return storages


def _shared(storage: SizeOfStorage) -> bool:
    """Return whether it is the system tablespace or a general one; only those have other names."""
    name = storage.key
    return name == SYSTEM or (name != DICTIONARY and not name.startswith("innodb_"))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _time_limit(seconds: float) -> str:
    return f"max_execution_time = {max(1, math.ceil(seconds * 1000))}"


MYSQL = Dialect(
    package="app.repositories.remote.mysql",
    connect=connect,
    assignments=(
        "lc_messages = 'en_US'",
        "information_schema_stats_expiry = 0",  # statistics of now, not of yesterday
        "lock_wait_timeout = 1",
    ),
    time_limit=_time_limit,
    tablespaces=_tablespaces,
    storages=_storages,
    lists_unopened=True,
    tables_by_id=False,
    shared=_shared,
    dictionary={"mysql": DICTIONARY},
)
