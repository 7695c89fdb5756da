"""What only MySQL has: tablespaces that hold many tables, and the tables in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.constants.capacity import RelationKind
from app.repositories.remote.facts import Receipt
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.sizing import (
    as_known,
    by_name,
    data_directory,
    database_sizes,
    fill,
    listed,
    server_sizes,
)

_ID = "id INT PRIMARY KEY AUTO_INCREMENT, t TEXT"


@pytest.fixture
def shared(mysql_server: TestServer) -> Iterator[TestServer]:
    mysql_server.run(
        "CREATE DATABASE shop",
        "CREATE TABLESPACE `many-1` ADD DATAFILE 'many_1.ibd' ENGINE=InnoDB",
        f"CREATE TABLE shop.inside ({_ID}) TABLESPACE `many-1`",
        f"CREATE TABLE shop.inside_too ({_ID}) TABLESPACE `many-1`",
        f"CREATE TABLE shop.system_ ({_ID}) TABLESPACE innodb_system",
        f"CREATE TABLE shop.own ({_ID})",
        f"CREATE TABLE shop.squeezed ({_ID}) COMPRESSION='zlib'",
    )
    for table in ("inside", "own", "squeezed"):
        fill(mysql_server, f"shop.{table}")
    mysql_server.run("ANALYZE TABLE shop.inside, shop.inside_too, shop.system_")
    yield mysql_server
    mysql_server.run("DROP DATABASE shop", "DROP TABLESPACE `many-1`")


def test_a_general_tablespace_is_as_big_as_its_file(shared: TestServer) -> None:
    storages = {one.key: one for one in server_sizes(shared).storages}
    file = data_directory(shared) / "many_1.ibd"
    assert storages["many-1"].used_bytes == file.stat().st_size
    assert storages["many-1"].free_bytes is not None
    assert storages["many-1"].limit_bytes is None
    assert storages["innodb_system"].limit_bytes is None


def test_tables_in_it_are_estimates_that_the_file_bounds(shared: TestServer) -> None:
    sizes = database_sizes(shared, "shop")
    relations = by_name(sizes)
    directory = data_directory(shared)
    for name in ("inside", "inside_too", "system_"):
        assert relations[name].exact_at is None
        assert (relations[name].total_bytes or 0) >= 16384
    for name in ("own", "squeezed"):
        assert relations[name].exact_at is not None
        file = directory / "shop" / f"{name}.ibd"
        assert relations[name].total_bytes == file.stat().st_size
    blocks = (directory / "shop" / "squeezed.ibd").stat().st_blocks * 512
    assert relations["squeezed"].allocated_bytes == pytest.approx(blocks, rel=0.05)
    inside = relations["inside"].total_bytes or 0
    file = directory / "many_1.ibd"
    assert inside == pytest.approx(3000 * 600, rel=0.6)
    assert sizes.error_bytes is not None
    assert abs(file.stat().st_size - inside) <= sizes.error_bytes


def test_a_known_estimate_does_not_cost_a_list_of_all_files_each_time(shared: TestServer) -> None:
    database = listed(server_sizes(shared), "shop")
    first, second = Receipt(), Receipt()
    sizes = database_sizes(shared, database, receipt=first)
    database_sizes(shared, database, known=as_known(sizes), receipt=second)
    assert second.queries == first.queries - 2


def test_the_system_database_holds_its_tablespace_to_the_byte(mysql_server: TestServer) -> None:
    sizes = database_sizes(mysql_server, "mysql")
    (rest,) = [one for one in sizes.relations if one.kind is RelationKind.SYSTEM]
    assert (rest.total_bytes or 0) > 1_000_000
    file = data_directory(mysql_server) / "mysql.ibd"
    logs = [one for one in sizes.relations if one.name.endswith("_log")]
    assert [one.total_bytes for one in logs] == [0, 0]
    total = sum(one.total_bytes or 0 for one in sizes.relations)
    assert total == file.stat().st_size
    assert sizes.error_bytes == 0
