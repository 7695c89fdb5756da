"""The server scope: which databases there are, and the tablespaces that belong to no single table.

How big a database is only its tables together say, so no total is given here. What is given is
which tables there may be that we do not see, and what to grant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.mysql.sizes_dialect import Dialect, prepare
from app.repositories.remote.mysql.sizes_rights import OwnRights, grant_needed, own_rights
from app.repositories.remote.mysql.sizes_tablespaces import (
    ListedDatabase,
    Listing,
    list_tablespaces,
)
from app.repositories.remote.mysql_session import Session
from app.repositories.remote.sizes import ServerSizes, SizeOfDatabase, SizeOfStorage


def read_server(session: Session, dialect: Dialect) -> ServerSizes:
    """Read which databases and tablespaces there are.

    Raises:
        ReadError: the names of databases could not be read, or the connection was lost.

    """
    prepare(session, dialect)
    settings: dict[str, str] = dict(session.ask(dialect.sql("size_settings")))
    literal = settings.get("partial_revokes") == "ON"
    rights = own_rights(session.ask("SHOW GRANTS"), literal=literal)
    names = [name for (name,) in session.ask(dialect.sql("schemas"))]
    missing = []
    if not rights.list_databases:
        message = "only databases on which we hold a privilege are listed"
        remedy = grant_needed(session.target, "PROCESS", "SHOW VIEW")
        missing.append(ReadError(FailureKind.DENIED, message, remedy))
    moment = datetime.now(UTC)
    listing: Listing | None = None
    storages: list[SizeOfStorage] = []
    fulltext: dict[int, str] = {}
    try:
        listing = list_tablespaces(dialect.tablespaces(session, None), frozenset(names))
        fulltext = _fulltext_tables(session, dialect, listing)
        storages = dialect.storages(session, settings, listing.others)
    except ReadError as error:
        if error.kind is FailureKind.LOST:
            raise
        if error.kind is FailureKind.DENIED:
            error.remedy = grant_needed(session.target, "PROCESS")
        error.message = f"the tablespaces cannot be listed: {error.message}"
        missing.append(error)
    server = _ServerWide(
        rights,
        listing,
        fulltext,
        moment,
        _shared_bytes(storages, dialect),
        settings.get("lower_case_table_names") == "2",
    )
    databases = [
        _database(session, dialect, name, server) for name in _all_names(names, rights, listing)
    ]
    return ServerSizes(tuple(databases), tuple(storages), session.version, tuple(missing))


@dataclass(frozen=True)
class _ServerWide:
    """What holds for every database of one server."""

    rights: OwnRights
    listing: Listing | None
    fulltext: Mapping[int, str]
    measured_at: datetime
    shared_bytes: int | None
    lower_case: bool


def _database(session: Session, dialect: Dialect, name: str, server: _ServerWide) -> SizeOfDatabase:
    visible = server.rights.show_tables_of(name)
    denied = None
    if not visible and server.listing is None:
        message = f"{name}: we may not see its tables"
        remedy = grant_needed(session.target, "PROCESS", "SHOW VIEW")
        denied = ReadError(FailureKind.DENIED, message, remedy)
    database = ListedDatabase(
        key=name,
        name=name,
        skip_reason=denied.message if denied else None,
        measured_at=server.measured_at,
        packed=None if server.listing is None else server.listing.packed.get(name, ""),
        fulltext=server.fulltext,
        tables_visible=visible,
        shared_bytes=server.shared_bytes,
        dictionary_bytes=_dictionary_bytes(server.listing, dialect, name),
        lower_case=server.lower_case,
    )
    return SizeOfDatabase(database, total_bytes=None, unsized=denied)


def _all_names(names: Sequence[str], rights: OwnRights, listing: Listing | None) -> list[str]:
    """Return the names that we see, and those that files tell of and that are hidden from us."""
    hidden = {
        schema
        for schema in (listing.packed if listing else ())
        if schema not in names and not (rights.list_databases and rights.show_tables_of(schema))
    }
    return [*names, *sorted(hidden)]


def _fulltext_tables(session: Session, dialect: Dialect, listing: Listing) -> dict[int, str]:
    """Return the encoded name of each table with FULLTEXT indexes, without its schema.

    If that takes too long, the parts of the indexes are counted as they are named. Where it costs
    much, a database with one such table is left out: it is found when the database is read.
    """
    several = 1 if dialect.tables_by_id else 2
    wanted = {i for ids in listing.fulltext_ids.values() if len(ids) >= several for i in ids}
    if not wanted:
        return {}
    try:
        rows = session.ask(dialect.sql("fulltext_tables", ids=", ".join(map(str, sorted(wanted)))))
    except ReadError as error:
        if error.kind is not FailureKind.STATEMENT_TIMEOUT:
            raise
        return {}
    return {int(table_id): name.rpartition("/")[2] for table_id, name in rows}


def _shared_bytes(storages: Sequence[SizeOfStorage], dialect: Dialect) -> int | None:
    sizes = [one.used_bytes for one in storages if dialect.shared(one)]
    return None if not sizes or None in sizes else sum(size or 0 for size in sizes)


def _dictionary_bytes(listing: Listing | None, dialect: Dialect, name: str) -> int | None:
    wanted = dialect.dictionary.get(name)
    for one in listing.others if listing and wanted else ():
        if one.encoded == wanted:
            return one.file_bytes
    return None
