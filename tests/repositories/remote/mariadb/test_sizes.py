"""What only MariaDB has: Aria, sequences, page compression, and tables that nobody opened yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from app.constants.capacity import RelationKind, StorageKind
from app.repositories.remote.mariadb.sizes import volume_of
from app.utils.local_mysqld import ServerInstall, start_mysqld
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.sizing import (
    by_name,
    bytes_of,
    data_directory,
    database_sizes,
    fill,
    listed,
    server_sizes,
    settle,
)

_ID = "id INT PRIMARY KEY AUTO_INCREMENT, t TEXT"


def test_tables_of_its_own_kinds_are_as_big_as_their_files(
    mariadb_server: TestServer, tmp_path: Path
) -> None:
    tables = {
        "aria": f"({_ID}, KEY (t(20))) ENGINE=Aria TRANSACTIONAL=1",
        "aria_plain": f"({_ID}) ENGINE=Aria TRANSACTIONAL=0 PAGE_CHECKSUM=0",
        "aria_parts": f"({_ID}) ENGINE=Aria PARTITION BY HASH (id) PARTITIONS 2",
        "elsewhere": f"({_ID}) ENGINE=InnoDB DATA DIRECTORY='{tmp_path}'",
        "squeezed": f"({_ID}) ENGINE=InnoDB PAGE_COMPRESSED=1",
        "versioned": f"({_ID}) ENGINE=InnoDB WITH SYSTEM VERSIONING",
    }
    mariadb_server.run("CREATE DATABASE shop", "CREATE SEQUENCE shop.numbers ENGINE=InnoDB")
    for name, definition in tables.items():
        mariadb_server.run(f"CREATE TABLE shop.{name} {definition}")
        fill(mariadb_server, f"shop.{name}")
    settle(mariadb_server)
    sizes = database_sizes(mariadb_server, "shop")
    relations = by_name(sizes)
    for name in (*tables, "numbers"):
        total = sum(
            r.total_bytes or 0 for r in relations.values() if name in (r.name, r.parent_key)
        )
        files = bytes_of(mariadb_server, "shop", name)
        if name == "elsewhere":
            files = (tmp_path / "shop/elsewhere.ibd").stat().st_size
        assert total == pytest.approx(files, rel=0.01), name
    assert relations["numbers"].kind is RelationKind.SEQUENCE
    assert relations["versioned"].kind is RelationKind.TABLE
    assert relations["aria_parts"].kind is RelationKind.PARTITIONED
    squeezed = relations["squeezed"]
    blocks = (data_directory(mariadb_server) / "shop/squeezed.ibd").stat().st_blocks * 512
    assert squeezed.allocated_bytes == pytest.approx(blocks, rel=0.05)
    assert sizes.error_bytes == 0


def test_tables_that_nobody_opened_since_the_start_are_sized_all_the_same(
    mariadb_server: TestServer, tmp_path: Path
) -> None:
    install, where = mariadb_server.local.install, tmp_path / "server"
    with _started(install, where) as server:
        server.run(
            "CREATE DATABASE shop",
            *(f"CREATE TABLE shop.t{n} ({_ID}, KEY (t(20))) ENGINE=InnoDB" for n in range(20)),
            "CREATE TABLE shop.parts (id INT) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 2",
            f"CREATE TABLE shop.searched ({_ID}, FULLTEXT (t)) ENGINE=InnoDB",
        )
        fill(server, "shop.t7", rows=500)
        before = by_name(database_sizes(server, "shop"))
    first_file = (where / "data/ibdata1").stat().st_size >> 20
    two_files = f"ibdata1:{first_file}M;ibdata2:20M:autoextend:max:100M"
    with _started(install, where, f"--innodb-data-file-path={two_files}") as server:
        system = next(s for s in server_sizes(server).storages if s.key == "innodb_system")
        # of several files the server tells the first one only: then nothing is said
        assert (system.used_bytes, system.unsized is None) == (None, False)
        assert system.limit_bytes == (first_file + 100) << 20
        ((opened,),) = server.run(
            "SELECT COUNT(*) FROM information_schema.INNODB_SYS_TABLESPACES"
            " WHERE NAME LIKE 'shop/t%'"
        )
        assert opened < 20 or server.version < (10, 6)
        sizes = database_sizes(server, listed(server_sizes(server), "shop"))
    relations = by_name(sizes)
    assert set(relations) == set(before)
    for name, one in relations.items():
        if name == "searched":  # nobody opens the parts of its indexes
            assert one.total_bytes == pytest.approx(before[name].total_bytes, rel=0.2)
            continue
        assert one.total_bytes == before[name].total_bytes, name
        assert one.exact_at is not None, name
    assert sizes.missing == ()


@contextmanager
def _started(install: ServerInstall, where: Path, *options: str) -> Iterator[TestServer]:
    options = ("--innodb-buffer-pool-load-at-startup=OFF", *options)
    with (
        start_mysqld(install, where, options=options) as local,
        pymysql.connect(unix_socket=local.socket, user="root", autocommit=True) as connection,
    ):
        yield TestServer(local, connection)


def test_a_table_in_the_system_tablespace_is_an_estimate_with_a_bound(
    mariadb_server: TestServer,
) -> None:
    mariadb_server.run(
        "CREATE DATABASE shop",
        "SET GLOBAL innodb_file_per_table = OFF",
        f"CREATE TABLE shop.inside ({_ID}) ENGINE=InnoDB",
        "SET GLOBAL innodb_file_per_table = ON",
    )
    fill(mariadb_server, "shop.inside")
    mariadb_server.run("ANALYZE TABLE shop.inside")
    server = server_sizes(mariadb_server)
    sizes = database_sizes(mariadb_server, listed(server, "shop"))
    (inside,) = sizes.relations
    assert inside.exact_at is None
    assert (inside.total_bytes or 0) > 1_000_000
    system = next(one for one in server.storages if one.key == "innodb_system")
    if system.used_bytes is None:
        assert sizes.error_bytes is None
    else:
        assert sizes.error_bytes is not None
        assert 0 < sizes.error_bytes <= system.used_bytes
    mariadb_server.run("DROP DATABASE shop")


def test_the_volume_of_the_data_is_the_innermost_that_holds_it() -> None:
    rows = [
        ("/dev/a", "/", "1000", "400", "600"),
        ("/dev/b", "/var/lib", "5000", "100", "4800"),
        ("/dev/c", "/var/libre", "7", "7", "0"),
    ]
    volume = volume_of(list(rows), "/var/lib/mysql/")
    assert volume is not None
    assert (volume.kind, volume.key) == (StorageKind.VOLUME, "/var/lib")
    assert (volume.used_bytes, volume.free_bytes, volume.limit_bytes) == (100, 4800, 5000)
    outer = volume_of(list(rows), "/srv")
    assert outer is not None
    assert outer.key == "/"
    assert volume_of(rows[1:], "/srv") is None
