"""What tests of sizes share: asking a reader, and what the files of a server really hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pymysql

from app.repositories.remote import reader_for
from app.repositories.remote.facts import DatabaseFact, Receipt, Target
from app.repositories.remote.sizes import (
    Budget,
    DatabaseSizes,
    KnownSize,
    ServerSizes,
    SizeOfRelation,
)
from tests.fixtures.mysql import TestServer

DATA_FILES = (".ibd", ".MYD", ".MYI", ".MAD", ".MAI", ".ARZ", ".CSV")
PASSWORD = "watch-Pass1"


def server_sizes(
    server: TestServer, target: Target | None = None, receipt: Receipt | None = None
) -> ServerSizes:
    reader = reader_for(server.engine)
    with reader.connect(target or server.target(), receipt or Receipt()) as session:
        return reader.read_server_sizes(session)


def listed(sizes: ServerSizes, name: str) -> DatabaseFact:
    return next(one.database for one in sizes.databases if one.database.name == name)


def database_sizes(
    server: TestServer,
    database: str | DatabaseFact,
    target: Target | None = None,
    *,
    known: Mapping[str, KnownSize] | None = None,
    seconds: float = 60.0,
    receipt: Receipt | None = None,
) -> DatabaseSizes:
    target = target or server.target()
    if isinstance(database, str):
        database = listed(server_sizes(server, target), database)
    reader = reader_for(server.engine)
    return reader.read_database_sizes(
        target, database, known or {}, Budget(seconds), receipt or Receipt(), "", lambda: None
    )


def by_name(sizes: DatabaseSizes) -> dict[str, SizeOfRelation]:
    relations = {one.name: one for one in sizes.relations}
    assert len(relations) == len(sizes.relations)
    return relations


def as_known(sizes: DatabaseSizes) -> dict[str, KnownSize]:
    """Return what the ledger would know after this collection."""
    return {
        one.key: KnownSize(
            one.total_bytes,
            one.data_bytes,
            one.toast_bytes,
            one.index_bytes,
            one.free_bytes,
            one.allocated_bytes,
            one.exact_at,
            one.change_mark,
        )
        for one in sizes.relations
        if one.total_bytes is not None
    }


def own_databases(server: TestServer) -> set[str]:
    """Return the databases with files that a server comes with."""
    return {"mysql"} if (10, 0) <= server.version < (10, 6) else {"mysql", "sys"}


def data_directory(server: TestServer) -> Path:
    return server.local.error_log.parent / "data"


def settle(server: TestServer) -> None:
    server.run("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES")


def bytes_of(server: TestServer, folder: str, *stems: str) -> int:
    """Return what the data files hold whose names begin so; a stem ends before "." or "#"."""
    return sum(
        path.stat().st_size
        for path in (data_directory(server) / folder).iterdir()
        if path.suffix in DATA_FILES
        and any(path.name.startswith((f"{stem}.", f"{stem}#")) for stem in stems)
    )


def directory_bytes(server: TestServer, folder: str) -> int:
    return sum(path.stat().st_size for path in (data_directory(server) / folder).iterdir())


def fill(server: TestServer, table: str, column: str = "t", rows: int = 3000) -> None:
    """Insert so many rows of about 600 bytes, at most 100 000."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    tables = ", ".join(f"({digits}) AS d{place}" for place in range(5))
    server.run(
        "USE mysql",  # MySQL wants some database for a derived table
        f"INSERT INTO {table} ({column}) SELECT REPEAT(SHA2(RAND(), 256), 9)"
        f" FROM {tables} LIMIT {rows}",
    )


def watch(server: TestServer, *grants: str) -> Target:
    """Create an account that holds these privileges only."""
    server.run(f"CREATE USER watch@localhost IDENTIFIED BY '{PASSWORD}'")
    server.run(*(f"GRANT {grant} TO watch@localhost" for grant in grants))
    return server.target("watch", PASSWORD)


@contextmanager
def exclusively_locked(server: TestServer, table: str) -> Iterator[None]:
    """Hold the lock that even opening a table waits for, as the end of an ALTER TABLE does.

    RENAME TABLE takes it and then waits for another table that somebody is reading.
    """
    reader = pymysql.connect(unix_socket=server.local.socket, user="root")
    renamer = pymysql.connect(unix_socket=server.local.socket, user="root", autocommit=True)
    schema = table.partition(".")[0]
    server.run(f"CREATE TABLE {schema}.zz_read (id INT PRIMARY KEY) ENGINE=InnoDB")

    def rename() -> None:
        with renamer.cursor() as cursor:
            cursor.execute(f"RENAME TABLE {table} TO {table}_2, {schema}.zz_read TO {schema}.zz_2")

    thread = threading.Thread(target=rename)
    try:
        with reader.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {schema}.zz_read")
        thread.start()
        wait_for_lock(server, "RENAME%")
        yield
    finally:
        reader.rollback()
        thread.join()
        reader.close()
        renamer.close()


def wait_for_lock(server: TestServer, statement: str) -> None:
    """Wait until a statement that is like this one waits for a table."""
    deadline = time.monotonic() + 20
    while not server.run(
        "SELECT 1 FROM information_schema.PROCESSLIST"
        f" WHERE STATE LIKE 'Waiting for table metadata lock%' AND INFO LIKE '{statement}'"
    ):
        assert time.monotonic() < deadline, f"no {statement} waits for a table"
        time.sleep(0.05)
