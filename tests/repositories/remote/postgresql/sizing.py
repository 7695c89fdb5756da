"""What the files on disk say, and how the tests ask for sizes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from app.repositories.remote.facts import DatabaseFact, Receipt, Target
from app.repositories.remote.postgresql import connect, read_database_sizes, read_server_sizes
from app.repositories.remote.sizes import (
    Budget,
    DatabaseSizes,
    KnownSize,
    ServerSizes,
    SizeOfRelation,
)
from tests.fixtures.postgresql import NOBODY, PostgresqlServer

PLENTY = 600.0


def server_sizes(target: Target, receipt: Receipt | None = None) -> ServerSizes:
    with connect(target, receipt or Receipt()) as session:
        return read_server_sizes(session)


def database_fact(server: PostgresqlServer, name: str) -> DatabaseFact:
    quoted = name.replace("'", "''")
    ((key,),) = server.fetch(f"SELECT oid::text FROM pg_database WHERE datname = '{quoted}'")
    return DatabaseFact(key=key, name=name)


def database_sizes(
    server: PostgresqlServer,
    name: str = "app",
    known: Mapping[str, KnownSize] | None = None,
    seconds: float = PLENTY,
    target: Target | None = None,
    receipt: Receipt | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> DatabaseSizes:
    return read_database_sizes(
        target or server.target(),
        database_fact(server, name),
        known or {},
        Budget(seconds),
        receipt or Receipt(),
        "",
        checkpoint,
    )


def by_name(sizes: DatabaseSizes) -> dict[str, SizeOfRelation]:
    return {one.name: one for one in sizes.relations}


def remembered(sizes: DatabaseSizes) -> dict[str, KnownSize]:
    """Return what a ledger would know of the relations at the next collection."""
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


def total(sizes: DatabaseSizes) -> int:
    return sum(one.total_bytes or 0 for one in sizes.relations if one.kind != "partitioned")


def impatient(target: Target, *, statement: float = 60.0, lock: float = 2.0) -> Target:
    return replace(target, statement_timeout_seconds=statement, lock_timeout_seconds=lock)


def let_statistics_arrive(server: PostgresqlServer) -> None:
    """Wait for the collector process that counted until version 14: it writes every half second."""
    if server.major < 15:
        time.sleep(1.5)


class Disk:
    """The files of one server, read as root or as who runs it; PostgreSQL is not asked."""

    def __init__(self, server: PostgresqlServer) -> None:
        if not os.access(server.data / "base", os.R_OK | os.X_OK):
            pytest.skip(f"{server.data} is not readable by us: run as root or as its owner")
        server.run("CHECKPOINT")
        self.server = server

    def folders(self, database: str) -> list[Path]:
        """Return where one database keeps its files, in every tablespace."""
        ((oid,),) = self.server.fetch(
            f"SELECT oid::text FROM pg_database WHERE datname = '{database}'"
        )
        spaces = self.server.data.glob(f"pg_tblspc/*/PG_*/{oid}")
        return [path for path in (self.server.data / "base" / oid, *spaces) if path.is_dir()]

    def database(self, database: str) -> dict[Path, int]:
        return {
            file: file.stat().st_size
            for folder in self.folders(database)
            for file in folder.iterdir()
        }

    def tablespace(self, oid: str) -> int:
        link = {"1663": self.server.data / "base", "1664": self.server.data / "global"}.get(
            oid, self.server.data / "pg_tblspc" / oid
        )
        return sum(
            Path(folder, file).lstat().st_size
            for folder, _, files in os.walk(link, followlinks=True)
            for file in files
        )

    def relations(self, database: str) -> dict[str, dict[str, int]]:
        """Return bytes by table's oid and part: those of every fork and segment of each file."""
        parts = """
            SELECT c.oid::text, 'data', pg_relation_filepath(c.oid) FROM pg_class AS c
            WHERE relkind IN ('r', 'm', 'S')
            UNION ALL
            SELECT indrelid::text, 'index', pg_relation_filepath(indexrelid) FROM pg_index
            JOIN pg_class AS c ON c.oid = indrelid AND c.relkind IN ('r', 'm')
            UNION ALL
            SELECT oid::text, 'toast', pg_relation_filepath(reltoastrelid) FROM pg_class
            WHERE reltoastrelid <> 0
            UNION ALL
            SELECT c.oid::text, 'toast', pg_relation_filepath(indexrelid) FROM pg_class AS c
            JOIN pg_index ON indrelid = reltoastrelid
        """
        found: dict[str, dict[str, int]] = {}
        for oid, part, path in self.server.fetch(parts, database):
            sizes = found.setdefault(oid, {"data": 0, "toast": 0, "index": 0})
            if path is not None:
                sizes[part] += sum(
                    one.stat().st_size for one in relation_files(self.server.data / path)
                )
        return found


def relation_files(path: Path) -> list[Path]:
    """Return every fork and segment of what ``pg_relation_filepath`` names."""
    suffixes = ("", "_fsm", "_vm", "_init")
    return [
        file
        for suffix in suffixes
        for file in (
            path.with_name(path.name + suffix),
            *path.parent.glob(f"{path.name}{suffix}.[0-9]*"),
        )
        if file.exists()
    ]


def tablespace(server: PostgresqlServer, name: str) -> str:
    """Make a tablespace and return its oid."""
    folder = server.folder / name
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    server.run(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
    ((oid,),) = server.fetch(f"SELECT oid::text FROM pg_tablespace WHERE spcname = '{name}'")
    return str(oid)
