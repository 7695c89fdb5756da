"""Sizes are those of the files on disk, for relations of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.constants.capacity import RelationKind, StorageKind
from app.repositories.remote.facts import Receipt
from app.repositories.remote.sizes import SizeOfRelation
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.sizing import (
    PLENTY,
    Disk,
    by_name,
    database_sizes,
    let_statistics_arrive,
    server_sizes,
    tablespace,
    total,
)

RANDOM = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200 + g % 2))"
EVERY_KIND = (
    "CREATE TABLE plain (id int PRIMARY KEY, b text)",
    "INSERT INTO plain SELECT g, repeat('x', 100) FROM generate_series(1, 30000) AS g",
    f"CREATE TABLE toasted AS SELECT g AS id, {RANDOM} AS big FROM generate_series(1, 300) AS g",
    "CREATE TABLE many (a int, b int, c text)",
    "INSERT INTO many SELECT g, -g, g::text FROM generate_series(1, 5000) AS g",
    *(f"CREATE INDEX many_{i} ON many (a, ({i} + b))" for i in range(10)),
    "CREATE INDEX ON many USING hash (c)",
    "CREATE INDEX ON many USING brin (a)",
    "CREATE INDEX ON many (a) WHERE a < 100",
    "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, b text)",
    "INSERT INTO unlogged SELECT g, repeat('y', 50) FROM generate_series(1, 9000) AS g",
    "CREATE UNLOGGED TABLE unlogged_and_empty (id int PRIMARY KEY, b text)",
    "CREATE MATERIALIZED VIEW matview AS SELECT * FROM plain WHERE id % 2 = 0",
    "CREATE UNIQUE INDEX ON matview (id)",
    "CREATE SEQUENCE counter",
    "CREATE TABLE identified (id bigint GENERATED ALWAYS AS IDENTITY, b text)",
    "CREATE TABLE elsewhere (id int PRIMARY KEY, b text) TABLESPACE side",
    "INSERT INTO elsewhere SELECT g, repeat('z', 80) FROM generate_series(1, 20000) AS g",
    "CREATE INDEX far_index ON plain (b) TABLESPACE side",
    "CREATE TABLE parted (at date, b text, n int) PARTITION BY RANGE (at)",
    "CREATE INDEX ON parted (b)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-07-01')",
    """CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-07-01') TO ('2025-01-01')
    PARTITION BY HASH (n)""",
    "CREATE TABLE parted_2_a PARTITION OF parted_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    """CREATE TABLE parted_2_b PARTITION OF parted_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1)
    TABLESPACE side""",
    """INSERT INTO parted SELECT date '2024-01-01' + g % 366, repeat('p', 40), g
    FROM generate_series(1, 20000) AS g""",
    "CREATE TABLE ancestor (a int)",
    "CREATE TABLE heir (b int) INHERITS (ancestor)",
    "INSERT INTO heir SELECT g, g FROM generate_series(1, 3000) AS g",
    "CREATE VIEW view AS SELECT 1 AS a",
    "CREATE FOREIGN DATA WRAPPER fdw",
    "CREATE SERVER far FOREIGN DATA WRAPPER fdw",
    "CREATE FOREIGN TABLE far_table (a int) SERVER far",
    'CREATE SCHEMA "an\'other ""one"""',
    'CREATE TABLE "an\'other ""one"""."täble\tx" (a int)',
    "SELECT lo_from_bytea(0, convert_to(repeat('large', 40000), 'UTF8'))",
    "DELETE FROM plain WHERE id % 3 = 0",
    "VACUUM plain",
)


@pytest.fixture
def every_kind(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """A database that holds a relation of every kind, one of them of a session that goes on."""
    tablespace(postgresql, "side")
    postgresql.run("CREATE DATABASE app")
    postgresql.run(*EVERY_KIND, database="app")
    with postgresql.connect("app") as other:
        other.execute("CREATE TEMPORARY TABLE passing (id int PRIMARY KEY, b text)")
        other.execute(
            "INSERT INTO passing SELECT g, repeat('t', 90) FROM generate_series(1, 9000) AS g"
        )
        yield postgresql


def test_every_relation_is_as_big_as_its_files(every_kind: PostgresqlServer) -> None:
    disk = Disk(every_kind)
    sizes = database_sizes(every_kind)
    on_disk = disk.relations("app")
    compared = 0
    for one in sizes.relations:
        if one.kind in {RelationKind.SYSTEM, RelationKind.PARTITIONED}:
            continue
        files = on_disk[one.key]
        assert (one.data_bytes, one.toast_bytes, one.index_bytes) == (
            files["data"],
            files["toast"],
            files["index"],
        ), one.name
        assert one.total_bytes == sum(files.values())
        compared += 1
    assert compared == 18
    assert sizes.error_bytes == 0
    assert sizes.missing == ()
    named = by_name(sizes)
    assert (named["toasted"].toast_bytes or 0) > 10 * (named["toasted"].data_bytes or 0)
    assert (named["many"].index_bytes or 0) > 3 * (named["many"].data_bytes or 0)
    assert (named["passing"].total_bytes or 0) > 900_000
    assert (named["unlogged_and_empty"].total_bytes or 0) > 0  # its init forks


def test_relations_are_listed_once_each_under_the_kind_that_they_are(
    every_kind: PostgresqlServer,
) -> None:
    sizes = database_sizes(every_kind)
    named = by_name(sizes)
    assert len({one.key for one in sizes.relations}) == len(sizes.relations) == len(named)
    kinds: dict[RelationKind, set[str]] = {}
    for one in sizes.relations:
        kinds.setdefault(one.kind, set()).add(one.name)
    assert kinds == {
        RelationKind.SYSTEM: {"system catalogs"},
        RelationKind.TABLE: {
            *("plain", "toasted", "many", "unlogged", "unlogged_and_empty", "identified"),
            *("elsewhere", "ancestor", "heir", "täble\tx", "pg_largeobject"),
        },
        RelationKind.MATERIALIZED_VIEW: {"matview"},
        RelationKind.SEQUENCE: {"counter", "identified_id_seq"},
        RelationKind.PARTITIONED: {"parted", "parted_2"},
        RelationKind.PARTITION: {"parted_1", "parted_2_a", "parted_2_b"},
        RelationKind.TEMPORARY: {"passing"},
    }
    root = named["parted"].key
    parts = ("parted_1", "parted_2", "parted_2_a", "parted_2_b")
    assert {named[name].parent_key for name in parts} == {root}
    assert {one.name for one in sizes.relations if one.parent_key} == set(parts)
    assert str(named["passing"].schema).startswith("pg_temp_")
    assert named["täble\tx"].schema == 'an\'other "one"'
    assert named["plain"].row_estimate == 20000
    assert named["counter"].row_estimate is None


def test_the_relations_and_the_files_of_none_add_up_to_the_database(
    every_kind: PostgresqlServer,
) -> None:
    disk = Disk(every_kind)
    server = {
        one.database.name: one.total_bytes for one in server_sizes(every_kind.target()).databases
    }
    sizes = database_sizes(every_kind)
    files = disk.database("app")
    of_none = sum(
        size
        for file, size in files.items()
        if file.name in {"PG_VERSION", "pg_filenode.map", "pg_internal.init"}
    )
    assert server["app"] == sum(files.values())
    assert total(sizes) + of_none == sum(files.values())
    assert of_none < 0.01 * sum(files.values())


def test_the_catalogs_are_as_big_as_their_files(postgresql: PostgresqlServer) -> None:
    postgresql.run("CREATE DATABASE app")
    disk = Disk(postgresql)
    catalogs = {
        oid
        for (oid,) in postgresql.fetch(
            "SELECT oid::text FROM pg_class WHERE relkind = 'r' AND NOT relisshared AND "
            "relnamespace::regnamespace::text IN ('pg_catalog', 'information_schema')",
            "app",
        )
    }
    sizes = database_sizes(postgresql)
    (system,) = sizes.relations  # pg_largeobject is empty, so it is one of them
    on_disk = [files for oid, files in disk.relations("app").items() if oid in catalogs]
    assert system.key == "system"
    assert system.data_bytes == sum(files["data"] for files in on_disk)
    assert system.toast_bytes == sum(files["toast"] for files in on_disk)
    assert system.index_bytes == sum(files["index"] for files in on_disk)
    assert system.total_bytes == sum(sum(files.values()) for files in on_disk)


def test_databases_and_tablespaces_are_as_big_as_their_folders(
    every_kind: PostgresqlServer,
) -> None:
    every_kind.run("CREATE DATABASE closed", "CREATE DATABASE broken")
    every_kind.run(
        "UPDATE pg_database SET datallowconn = false WHERE datname = 'closed'",
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'",
    )
    disk = Disk(every_kind)
    sizes = server_sizes(every_kind.target())
    databases = {one.database.name: one for one in sizes.databases}
    assert set(databases) == {"template0", "template1", "postgres", "app", "closed", "broken"}
    for name, one in databases.items():
        assert one.total_bytes == sum(disk.database(name).values()), name
        assert one.unsized is None
    assert "datallowconn" in str(databases["closed"].database.skip_reason)
    assert "invalid" in str(databases["broken"].database.skip_reason)
    assert databases["template0"].database.expected_skip
    storages = {one.name: one for one in sizes.storages}
    assert set(storages) == {"pg_default", "pg_global", "side"}
    for storage in storages.values():
        assert storage.kind is StorageKind.TABLESPACE
        assert storage.free_bytes is None
        assert storage.limit_bytes is None
        on_disk = disk.tablespace(storage.key)
        assert storage.used_bytes == pytest.approx(on_disk, rel=0.01), storage.name  # + directories
    assert sizes.version.startswith(f"{every_kind.major}.")
    assert sizes.missing == ()


def test_a_plain_login_gets_the_sizes_of_all_relations(every_kind: PostgresqlServer) -> None:
    every_kind.run("CREATE ROLE watcher LOGIN")

    def seen(sizes: tuple[SizeOfRelation, ...]) -> list[tuple[object, ...]]:
        return [(one.key, one.name, one.total_bytes, one.data_bytes) for one in sizes]

    as_watcher = database_sizes(every_kind, target=every_kind.target("watcher"))
    assert seen(as_watcher.relations) == seen(database_sizes(every_kind).relations)


def test_what_was_measured_says_when_and_a_mark_that_moves_with_every_change(
    every_kind: PostgresqlServer,
) -> None:
    let_statistics_arrive(every_kind)
    before = datetime.now(UTC)
    first = by_name(database_sizes(every_kind))
    for one in first.values():
        assert one.exact_at is not None
        assert before - timedelta(seconds=1) < one.exact_at <= datetime.now(UTC)
        assert one.change_mark is None or 0 <= one.change_mark < 2**63
    same = by_name(database_sizes(every_kind))
    assert {name: one.change_mark for name, one in same.items()} == {
        name: one.change_mark for name, one in first.items()
    }
    changes = {
        "plain": "INSERT INTO plain VALUES (999999, 'x')",
        "many": "CREATE INDEX one_more ON many (c)",
        "matview": "REFRESH MATERIALIZED VIEW matview",
        "unlogged": "TRUNCATE unlogged",
        "heir": "DELETE FROM heir WHERE a = 1",
        "toasted": "UPDATE toasted SET big = big || 'x' WHERE id = 1",
        "elsewhere": "ALTER TABLE elsewhere SET TABLESPACE pg_default",
        "parted_1": "VACUUM parted_1",
    }
    every_kind.run(*changes.values(), database="app")
    let_statistics_arrive(every_kind)
    third = by_name(database_sizes(every_kind))
    moved = {name for name in first if first[name].change_mark != third[name].change_mark}
    assert moved == set(changes)


def test_a_database_costs_as_many_statements_however_many_relations_it_has(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run("CREATE DATABASE app")
    spent = []
    for start, end in ((0, 10), (10, 1000)):
        for lot in range(start, end, 500):
            names = range(lot, min(lot + 500, end))
            postgresql.run("; ".join(f"CREATE TABLE t{i} (a int)" for i in names), database="app")
        receipt = Receipt()
        sizes = database_sizes(postgresql, seconds=PLENTY, receipt=receipt)
        assert len(sizes.relations) == end + 1
        spent.append(receipt)
    assert spent[0].queries == spent[1].queries
    assert spent[1].rows > spent[0].rows + 1900
