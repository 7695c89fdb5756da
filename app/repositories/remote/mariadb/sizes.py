"""How big everything on a MariaDB server is."""

from __future__ import annotations

from collections.abc import Iterator

from app.constants.capacity import StorageKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import DatabaseFact, ReadError, Receipt, Target
from app.repositories.remote.mariadb.server import connect
from app.repositories.remote.mysql.names import literal
from app.repositories.remote.mysql.sizes_database import read_database
from app.repositories.remote.mysql.sizes_dialect import Dialect, Settings
from app.repositories.remote.mysql.sizes_server import read_server
from app.repositories.remote.mysql.sizes_storages import data_file_limit, is_one_file
from app.repositories.remote.mysql.sizes_tablespaces import ListedTablespace
from app.repositories.remote.mysql_session import Row, Session
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


def read_server_sizes(session: Session) -> ServerSizes:
    """Read which databases, tablespaces and volumes there are.

    Raises:
        ReadError: the names of databases could not be read, or the connection was lost.

    """
    return read_server(session, MARIADB)


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
    return read_database(MARIADB, target, database, known, budget, receipt, checkpoint)


def volume_of(rows: list[Row], directory: str) -> SizeOfStorage | None:
    """Return the file system that holds a directory.

    Args:
        rows: (device, where it is mounted, bytes in all, used, available to the server).
        directory: an absolute path.

    """
    holding = [
        row for row in rows if f"{directory.rstrip('/')}/".startswith(f"{row[1].rstrip('/')}/")
    ]
    if not holding:
        return None
    device, path, total, used, free = max(holding, key=lambda row: len(row[1].rstrip("/")))
    return SizeOfStorage(
        StorageKind.VOLUME,
        key=path,
        name=f"{path} ({device})",
        used_bytes=int(used),
        free_bytes=int(free),
        limit_bytes=int(total),
    )


def _tablespaces(session: Session, schema: str | None) -> Iterator[ListedTablespace]:
    one_schema = ""
    if schema is not None:
        encoded = f"CONVERT(CONVERT({literal(schema)} USING filename) USING binary)"
        one_schema = f"AND CONVERT(SUBSTRING_INDEX(NAME, '/', 1) USING binary) = {encoded}"
    places = {", of one schema only": one_schema}
    rows = session.stream(MARIADB.sql("tablespaces", **places))
    for name, decoded, file_bytes, allocated_bytes in rows:
        yield ListedTablespace(name, decoded, int(file_bytes), int(allocated_bytes))
    if schema is None:
        for name, decoded, shared in session.stream(MARIADB.sql("tables_without_tablespace")):
            yield ListedTablespace(name, decoded, None, None, shared == "1")


def _storages(
    session: Session, settings: Settings, others: tuple[ListedTablespace, ...]
) -> list[SizeOfStorage]:
    limits = {
        SYSTEM: data_file_limit(settings.get("innodb_data_file_path")),
        TEMPORARY: data_file_limit(settings.get("innodb_temp_data_file_path")),
    }
    used = {one.encoded: one.file_bytes for one in others}
    why = {}
    if SYSTEM not in used:
        message = "this version does not tell how big the system tablespace is"
        why[SYSTEM] = ReadError(FailureKind.UNSUPPORTED, message, "upgrade to 10.6 or later")
    elif not is_one_file(settings.get("innodb_data_file_path")):
        message = "the server tells the first file of the system tablespace only, of several"
        why[SYSTEM] = ReadError(FailureKind.UNSUPPORTED, message)
    storages = [
        SizeOfStorage(
            StorageKind.TABLESPACE,
            key=name,
            name=name,
            used_bytes=None if name in why else used[name],
            limit_bytes=limits.get(name),
            unsized=why.get(name),
        )
        for name in dict.fromkeys([*used, *why])
    ]
    volume = _volume(session, settings)
    return storages if volume is None else [*storages, volume]


def _volume(session: Session, settings: Settings) -> SizeOfStorage | None:
    """Return the file system of the data, where a plugin tells it and we may ask; it is extra."""
    if not session.ask(MARIADB.sql("has_disks")):
        return None
    try:
        rows = session.ask(MARIADB.sql("disks"))
    except ReadError as error:
        if error.kind is not FailureKind.DENIED:
            raise
        return None
    return volume_of(list(rows), settings["datadir"])


MARIADB = Dialect(
    package="app.repositories.remote.mariadb",
    connect=connect,
    assignments=("lc_messages = 'en_US'", "lock_wait_timeout = 0"),
    time_limit=lambda seconds: f"max_statement_time = {max(0.001, seconds):.3f}",
    tablespaces=_tablespaces,
    storages=_storages,
    lists_unopened=False,
    tables_by_id=True,
    shared=lambda storage: storage.key == SYSTEM,
    dictionary={},
)
