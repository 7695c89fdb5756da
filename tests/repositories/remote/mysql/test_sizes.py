"""Sizes are those of the files, whatever a table is made of, and whoever holds it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pymysql
import pytest

from app.constants.capacity import RelationKind
from app.constants.engines import Engine
from app.constants.reading import FailureKind
from app.repositories.remote import reader_for
from app.repositories.remote.facts import DatabaseFact, ReadError, Receipt
from app.repositories.remote.mysql import sizes_tables
from app.repositories.remote.sizes import Budget
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.sizing import (
    as_known,
    by_name,
    bytes_of,
    data_directory,
    database_sizes,
    directory_bytes,
    exclusively_locked,
    fill,
    listed,
    own_databases,
    server_sizes,
    settle,
    wait_for_lock,
)

ONE_PERCENT = 0.01
_ID = "id INT PRIMARY KEY AUTO_INCREMENT, t TEXT"
TABLES = {
    "plain": f"({_ID}) ENGINE=InnoDB",
    "indexed": f"({_ID}, n INT DEFAULT 1, KEY (n), KEY (n, id), KEY (t(50))) ENGINE=InnoDB",
    "compressed": f"({_ID}) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4",
    "searched": f"({_ID}, FULLTEXT (t)) ENGINE=InnoDB",
    "searched_too": f"({_ID}, u TEXT, FULLTEXT (t), FULLTEXT (u)) ENGINE=InnoDB",
    "empty": "(id INT) ENGINE=InnoDB",
    "parts": f"({_ID}) ENGINE=InnoDB PARTITION BY RANGE (id)"
    " (PARTITION old VALUES LESS THAN (1000), PARTITION `N-e.w` VALUES LESS THAN MAXVALUE)",
    "subparts": "(id INT, t TEXT, d DATE) ENGINE=InnoDB PARTITION BY RANGE (YEAR(d))"
    " SUBPARTITION BY HASH (id) SUBPARTITIONS 2"
    " (PARTITION p0 VALUES LESS THAN (2025), PARTITION p1 VALUES LESS THAN (2027))",
    "isam": f"({_ID}, KEY (t(20))) ENGINE=MyISAM",
}
WEIRD_TABLES = ("t-a.b $ü", "表#p#x", "UPPER", "a`b", "a/b")


FEW = ("indexed", "parts", "isam", "empty")


def _make(server: TestServer, names: Sequence[str] = tuple(TABLES), rows: int = 3000) -> None:
    server.run("CREATE DATABASE shop")
    for name in names:
        server.run(f"CREATE TABLE shop.{name} {TABLES[name]}")
        if name == "subparts":
            server.run("ALTER TABLE shop.subparts ALTER d SET DEFAULT '2024-05-05'")
        if name != "empty":
            fill(server, f"shop.{name}", rows=rows)
    settle(server)


def test_every_kind_of_table_is_as_big_as_its_files(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    sizes = database_sizes(any_mysqld, "shop")
    relations = by_name(sizes)
    fulltext = bytes_of(any_mysqld, "shop", "searched", "searched_too", *_fulltext(any_mysqld))
    for name in set(TABLES) - {"searched", "searched_too"}:
        total = sum(
            one.total_bytes or 0 for one in relations.values() if name in (one.name, one.parent_key)
        )
        assert total == pytest.approx(bytes_of(any_mysqld, "shop", name), rel=ONE_PERCENT), name
    searched = [relations[name].total_bytes or 0 for name in ("searched", "searched_too")]
    assert sum(searched) == pytest.approx(fulltext, rel=ONE_PERCENT)
    assert min(searched) > 6 * 65536
    assert all(one.exact_at is not None and one.unsized is None for one in relations.values())
    assert (sizes.error_bytes, sizes.missing) == (0, ())
    total = sum(one.total_bytes or 0 for one in relations.values())
    assert total == pytest.approx(directory_bytes(any_mysqld, "shop"), rel=ONE_PERCENT)


def _fulltext(server: TestServer) -> set[str]:
    """Return the stems of the files of FULLTEXT indexes."""
    names = (path.stem for path in (data_directory(server) / "shop").iterdir())
    return {name for name in names if name.upper().startswith("FTS_")}


def test_partitions_are_kept_beside_their_table(any_mysqld: TestServer) -> None:
    _make(any_mysqld, ("parts", "subparts"), rows=300)
    relations = by_name(database_sizes(any_mysqld, "shop"))
    for table, leaves in {
        "parts": ["old", "N-e.w"],
        "subparts": ["p0sp0", "p0sp1", "p1sp0", "p1sp1"],
    }.items():
        parent = relations[table]
        assert (parent.kind, parent.total_bytes) == (RelationKind.PARTITIONED, 0)
        parts = [relations[f"{table} PARTITION ({leaf})"] for leaf in leaves]
        assert {part.kind for part in parts} == {RelationKind.PARTITION}
        assert {part.parent_key for part in parts} == {parent.key}
        assert len({part.key for part in parts}) == len(parts)
        assert all(part.data_bytes and part.index_bytes is not None for part in parts)
    assert not [one for one in relations.values() if one.kind is RelationKind.UNATTRIBUTED]


def test_what_the_engine_splits_up_is_kept_apart_from_the_file(any_mysqld: TestServer) -> None:
    _make(any_mysqld, FEW)
    any_mysqld.run("ANALYZE TABLE shop.indexed, shop.isam")
    relations = by_name(database_sizes(any_mysqld, "shop"))
    indexed, isam = relations["indexed"], relations["isam"]
    assert (indexed.index_bytes or 0) > 100_000
    assert (indexed.data_bytes or 0) > 1_000_000
    assert (indexed.total_bytes or 0) >= (indexed.data_bytes or 0) + (indexed.index_bytes or 0)
    assert indexed.allocated_bytes is not None
    assert indexed.row_estimate == pytest.approx(3000, rel=0.3)
    assert isam.total_bytes == (isam.data_bytes or 0) + (isam.index_bytes or 0)
    assert isam.row_estimate == 3000


def test_names_come_back_as_they_were_given(any_mysqld: TestServer) -> None:
    database = "we-ird.na me$é"
    any_mysqld.run(f"CREATE DATABASE `{database}`")
    for name in WEIRD_TABLES:
        quoted = name.replace("`", "``")
        any_mysqld.run(f"CREATE TABLE `{database}`.`{quoted}` ({_ID}) ENGINE=InnoDB")
    any_mysqld.run(
        f"CREATE TABLE `{database}`.`表#P#x` (id INT) ENGINE=InnoDB PARTITION BY HASH (id)"
        " (PARTITION `ü#p#`)"
    )
    fill(any_mysqld, f"`{database}`.`t-a.b $ü`", rows=20000)
    settle(any_mysqld)
    sizes = database_sizes(any_mysqld, database)
    relations = by_name(sizes)
    assert set(relations) == {*WEIRD_TABLES, "表#P#x", "表#P#x PARTITION (ü#p#)"}
    assert all(one.exact_at is not None for one in sizes.relations)
    folder = "we@002dird@002ena@0020me@0024@0p"
    file = data_directory(any_mysqld) / folder / "t@002da@002eb@0020@0024@1o.ibd"
    assert relations["t-a.b $ü"].total_bytes == file.stat().st_size
    assert len({one.key for one in sizes.relations}) == len(sizes.relations)


def test_databases_whose_names_differ_in_case_or_accent_are_not_mixed_up(
    any_mysqld: TestServer,
) -> None:
    for database, table in {"cafe": "one", "Cafe": "two", "café": "three"}.items():
        any_mysqld.run(
            f"CREATE DATABASE `{database}`",
            f"CREATE TABLE `{database}`.{table} (id INT) ENGINE=InnoDB",
            f"CREATE TABLE `{database}`.A (id INT) ENGINE=InnoDB",
            f"CREATE TABLE `{database}`.a (id INT) ENGINE=InnoDB",
        )
    for database, table in {"cafe": "one", "Cafe": "two", "café": "three"}.items():
        sizes = database_sizes(any_mysqld, database)
        assert set(by_name(sizes)) == {table, "A", "a"}
        assert all(one.exact_at is not None for one in sizes.relations)


def test_tables_without_files_hold_nothing_and_views_are_no_tables(
    any_mysqld: TestServer,
) -> None:
    any_mysqld.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.memory (id INT) ENGINE=MEMORY",
        "INSERT INTO shop.memory VALUES (1), (2)",
        "CREATE TABLE shop.isam (id INT) ENGINE=MyISAM",
        "CREATE TABLE shop.merged (id INT) ENGINE=MERGE UNION=(shop.isam)",
        "CREATE VIEW shop.seen AS SELECT * FROM shop.isam",
        "CREATE TEMPORARY TABLE shop.mine (id INT)",
    )
    relations = by_name(database_sizes(any_mysqld, "shop"))
    any_mysqld.run("DROP TEMPORARY TABLE shop.mine")
    assert set(relations) == {"memory", "isam", "merged"}
    for name in ("memory", "merged"):
        assert relations[name].total_bytes == 0
        assert relations[name].exact_at is not None


def test_a_table_of_the_csv_engine_is_unknown_unless_it_is_empty(any_mysqld: TestServer) -> None:
    any_mysqld.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.full_ (id INT NOT NULL) ENGINE=CSV",
        "INSERT INTO shop.full_ VALUES (1)",
        "CREATE TABLE shop.empty_ (id INT NOT NULL) ENGINE=CSV",
    )
    relations = by_name(database_sizes(any_mysqld, "shop"))
    assert relations["empty_"].total_bytes == 0
    assert relations["full_"].total_bytes is None
    unsized = relations["full_"].unsized
    assert unsized is not None
    assert unsized.kind is FailureKind.UNSUPPORTED


def test_a_locked_table_loses_at_most_itself(any_mysqld: TestServer) -> None:
    _make(any_mysqld, FEW, rows=300)
    whole = by_name(database_sizes(any_mysqld, "shop"))
    for locked in ("indexed", "isam", "parts"):
        with exclusively_locked(any_mysqld, f"shop.{locked}"):
            started = datetime.now(UTC)
            sizes = database_sizes(any_mysqld, "shop")
            took = datetime.now(UTC) - started
        any_mysqld.run(f"RENAME TABLE shop.{locked}_2 TO shop.{locked}", "DROP TABLE shop.zz_2")
        relations = by_name(sizes)
        assert set(relations) - {"zz_read"} >= {n for n in whole if not n.startswith("parts P")}
        for name, before in whole.items():
            if name == locked == "isam":
                unsized = relations[name].unsized
                assert relations[name].total_bytes is None
                assert unsized is not None
                assert unsized.kind is FailureKind.LOCKED
            elif not name.startswith("parts PARTITION"):
                assert relations[name].total_bytes == before.total_bytes, name
                assert relations[name].exact_at is not None
        total = sum(r.total_bytes or 0 for n, r in relations.items() if n.startswith("parts P"))
        assert total == sum(r.total_bytes or 0 for n, r in whole.items() if n.startswith("parts P"))
        assert took.total_seconds() < 30


def test_a_locked_table_keeps_its_keys_and_how_it_was_split_up(any_mysqld: TestServer) -> None:
    _make(any_mysqld, FEW, rows=300)
    before = database_sizes(any_mysqld, "shop")
    with exclusively_locked(any_mysqld, "shop.parts"):
        sizes = database_sizes(any_mysqld, "shop", known=as_known(before))
    keys = {one.key for one in sizes.relations} - {"zz_read"}
    assert keys == {one.key for one in before.relations}
    part = by_name(before)["parts PARTITION (N-e.w)"]
    kept = next(one for one in sizes.relations if one.key == part.key)
    assert (kept.data_bytes, kept.index_bytes) == (part.data_bytes, part.index_bytes)


def test_without_time_files_alone_tell_the_totals(any_mysqld: TestServer) -> None:
    _make(any_mysqld, FEW, rows=300)
    before = database_sizes(any_mysqld, "shop")
    known = as_known(before)
    sizes = database_sizes(any_mysqld, "shop", known=known, seconds=0.0)
    assert {one.key for one in sizes.relations} == {one.key for one in before.relations}
    for one in sizes.relations:
        if one.kind is RelationKind.PARTITIONED:
            continue
        assert one.total_bytes == known[one.key].total_bytes, one.name
        assert one.data_bytes == known[one.key].data_bytes
        assert (one.exact_at is None) == (one.name == "isam")
    assert (sizes.missing, sizes.error_bytes) == ((), None)


def test_without_time_a_table_that_nobody_knows_is_not_taken_for_gone(
    any_mysqld: TestServer,
) -> None:
    _make(any_mysqld, FEW, rows=300)
    sizes = database_sizes(any_mysqld, "shop", seconds=0.0)
    relations = by_name(sizes)
    assert relations["indexed"].exact_at is not None
    if "isam" in relations:
        unsized = relations["isam"].unsized
        assert unsized is not None
        assert unsized.kind is FailureKind.BUDGET
        assert any_mysqld.engine is Engine.MYSQL
    else:  # it may as well be a view
        assert [error.kind for error in sizes.missing] == [FailureKind.BUDGET]


def test_a_table_that_came_or_went_since_the_list_of_files_is_seen_as_it_is(
    any_mysqld: TestServer,
) -> None:
    any_mysqld.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.goes (id INT) ENGINE=InnoDB",
        "CREATE TABLE shop.stays (id INT) ENGINE=InnoDB",
    )
    database = listed(server_sizes(any_mysqld), "shop")
    any_mysqld.run(
        "DROP TABLE shop.goes",
        f"CREATE TABLE shop.comes ({_ID}) ENGINE=InnoDB",
    )
    fill(any_mysqld, "shop.comes")
    sizes = database_sizes(any_mysqld, database)
    relations = by_name(sizes)
    assert set(relations) == {"comes", "stays"}
    assert relations["comes"].total_bytes == bytes_of(any_mysqld, "shop", "comes")
    assert sizes.error_bytes == 0


def test_a_database_is_read_from_its_name_alone_too(any_mysqld: TestServer) -> None:
    _make(any_mysqld, FEW, rows=300)
    plain = DatabaseFact("shop", "shop")
    sizes = database_sizes(any_mysqld, plain)
    assert {r.key: r.total_bytes for r in sizes.relations} == {
        r.key: r.total_bytes for r in database_sizes(any_mysqld, "shop").relations
    }
    with pytest.raises(ReadError) as raised:
        database_sizes(any_mysqld, DatabaseFact("nowhere", "nowhere"))
    assert raised.value.kind is FailureKind.NO_DATABASE


def test_what_an_alter_table_is_making_is_counted_and_named(any_mysqld: TestServer) -> None:
    _make(any_mysqld, ("plain",))
    before = by_name(database_sizes(any_mysqld, "shop"))["plain"]
    reading = pymysql.connect(unix_socket=any_mysqld.local.socket, user="root")
    altering = pymysql.connect(unix_socket=any_mysqld.local.socket, user="root", autocommit=True)

    def alter() -> None:  # it copies, and then waits for us to put the copy in the table's place
        with altering.cursor() as cursor:
            cursor.execute("ALTER TABLE shop.plain FORCE, ALGORITHM=COPY")

    thread = threading.Thread(target=alter)
    try:
        with reading.cursor() as cursor:
            cursor.execute("SELECT 1 FROM shop.plain LIMIT 1")
        thread.start()
        wait_for_lock(any_mysqld, "ALTER%")
        relations = by_name(database_sizes(any_mysqld, "shop"))
        (file,) = (data_directory(any_mysqld) / "shop").glob("#sql*.ibd")
        on_disk = file.stat().st_size
    finally:
        reading.rollback()
        thread.join()
        reading.close()
        altering.close()
    copy = next(name for name in relations if name != "plain")
    assert copy.startswith("#sql")
    assert relations[copy].kind is RelationKind.UNATTRIBUTED
    assert relations[copy].total_bytes == on_disk > 1_000_000
    assert relations["plain"].total_bytes == before.total_bytes
    after = by_name(database_sizes(any_mysqld, "shop"))
    assert set(after) == {"plain"}


def test_many_tables_are_described_in_several_statements(
    any_mysqld: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(any_mysqld, (*FEW, "plain", "subparts"), rows=50)
    at_once, in_pieces = Receipt(), Receipt()
    whole = database_sizes(any_mysqld, "shop", receipt=at_once)
    monkeypatch.setattr(sizes_tables, "AT_ONCE", 2)
    pieces = database_sizes(any_mysqld, "shop", receipt=in_pieces)
    assert in_pieces.queries > at_once.queries
    split = {r.key: (r.total_bytes, r.data_bytes, r.index_bytes, r.kind) for r in whole.relations}
    assert split == {
        r.key: (r.total_bytes, r.data_bytes, r.index_bytes, r.kind) for r in pieces.relations
    }


def test_which_databases_there_are_and_what_is_not_one(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE DATABASE shop", "CREATE DATABASE `e-mpty`")
    sizes = server_sizes(any_mysqld)
    names = {one.database.name for one in sizes.databases}
    assert names == own_databases(any_mysqld) | {"shop", "e-mpty"}
    assert {one.unsized for one in sizes.databases} == {None}
    assert sizes.missing == ()
    assert sizes.version
    assert database_sizes(any_mysqld, "e-mpty").relations == ()


def test_the_system_database_is_as_big_as_its_files(any_mysqld: TestServer) -> None:
    settle(any_mysqld)
    sizes = database_sizes(any_mysqld, "mysql")
    assert sizes.missing == ()
    total = sum(one.total_bytes or 0 for one in sizes.relations)
    directory = data_directory(any_mysqld)
    files = sum(p.stat().st_size for p in (directory / "mysql").iterdir() if p.suffix != ".frm")
    if any_mysqld.engine is Engine.MYSQL:
        files += (directory / "mysql.ibd").stat().st_size
    assert total == pytest.approx(files, rel=ONE_PERCENT)
    assert [one.name for one in sizes.relations if one.total_bytes is None] == []


def test_how_a_table_is_partitioned_and_where_it_ends(any_mysqld: TestServer) -> None:
    any_mysqld.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.by_day (d DATE) ENGINE=InnoDB PARTITION BY RANGE (TO_DAYS(d))"
        " (PARTITION a VALUES LESS THAN (TO_DAYS('2026-01-01')),"
        " PARTITION b VALUES LESS THAN (TO_DAYS('2026-02-01')),"
        " PARTITION rest VALUES LESS THAN MAXVALUE)",
        "INSERT INTO shop.by_day VALUES ('2025-12-31'), ('2026-05-01'), ('2026-05-02')",
        "CREATE TABLE shop.by_column (d DATETIME) ENGINE=InnoDB PARTITION BY RANGE COLUMNS (d)"
        " (PARTITION a VALUES LESS THAN ('2026-01-01 12:00:00'))",
        "CREATE TABLE shop.by_second (d DATETIME) ENGINE=InnoDB PARTITION BY RANGE (TO_SECONDS(d))"
        " (PARTITION a VALUES LESS THAN (TO_SECONDS('2026-03-01 06:00:00')))",
        "CREATE TABLE shop.by_stamp (d TIMESTAMP) ENGINE=InnoDB"
        " PARTITION BY RANGE (UNIX_TIMESTAMP(d)) (PARTITION a VALUES LESS THAN (1767225600))",
        "CREATE TABLE shop.by_year (d DATE) ENGINE=InnoDB PARTITION BY RANGE (YEAR(d))"
        " SUBPARTITION BY HASH (TO_DAYS(d)) SUBPARTITIONS 3"
        " (PARTITION a VALUES LESS THAN (2024), PARTITION b VALUES LESS THAN (2027))",
        "CREATE TABLE shop.by_number (n INT) ENGINE=InnoDB PARTITION BY RANGE (n)"
        " (PARTITION a VALUES LESS THAN (100))",
        "CREATE TABLE shop.by_list (n INT) ENGINE=InnoDB PARTITION BY LIST (n)"
        " (PARTITION a VALUES IN (1, 2), PARTITION b VALUES IN (3))",
        "CREATE TABLE shop.by_hash (n INT) ENGINE=InnoDB PARTITION BY HASH (n) PARTITIONS 4",
        "ANALYZE TABLE shop.by_day",
    )
    facts = {one.key: one for one in database_sizes(any_mysqld, "shop").partitioned}
    day = facts["by_day"]
    assert (day.strategy, day.partition_count, day.last_partition) == ("RANGE", 3, "b")
    assert day.key_definition.lower() == "to_days(`d`)"
    assert day.last_bound_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert (day.default_name, day.default_rows) == ("rest", 2)
    bounds = {key: fact.last_bound_at for key, fact in facts.items()}
    assert bounds["by_column"] == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert bounds["by_second"] == datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert bounds["by_stamp"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert bounds["by_year"] == datetime(2027, 1, 1, tzinfo=UTC)
    assert facts["by_year"].partition_count == 2
    assert (facts["by_number"].last_bound, bounds["by_number"]) == ("100", None)
    assert (facts["by_list"].strategy, bounds["by_list"]) == ("LIST", None)
    assert (facts["by_hash"].strategy, facts["by_hash"].partition_count) == ("HASH", 4)
    assert facts["by_hash"].default_name is None


def test_tablespaces_of_no_single_table_are_as_big_as_their_files(any_mysqld: TestServer) -> None:
    storages = {one.key: one for one in server_sizes(any_mysqld).storages}
    directory = data_directory(any_mysqld)
    expected = {"innodb_system": "ibdata1", "innodb_temporary": "ibtmp1"}
    if any_mysqld.engine is Engine.MYSQL:
        expected |= {"mysql": "mysql.ibd", "innodb_undo_001": "undo_001"}
    elif any_mysqld.version < (10, 6):
        unsized = storages["innodb_system"].unsized
        assert unsized is not None
        assert unsized.kind is FailureKind.UNSUPPORTED
        del expected["innodb_system"]
    for key, file in expected.items():
        size = (directory / file).stat().st_size
        assert storages[key].used_bytes == pytest.approx(size, rel=ONE_PERCENT), key


def test_temporary_tables_of_others_are_counted_in_their_tablespace(
    any_mysqld: TestServer,
) -> None:
    def used() -> int:
        return sum(
            one.used_bytes or 0
            for one in server_sizes(any_mysqld).storages
            if one.key in ("innodb_temporary", "innodb_temp")
        )

    before = used()
    any_mysqld.run(
        "CREATE DATABASE shop", f"CREATE TEMPORARY TABLE shop.mine ({_ID}) ENGINE=InnoDB"
    )
    fill(any_mysqld, "shop.mine", rows=30000)
    after = used()
    directory = data_directory(any_mysqld)
    files = [directory / "ibtmp1", *directory.glob("#innodb_temp/*.ibt")]
    assert after == pytest.approx(sum(p.stat().st_size for p in files), rel=ONE_PERCENT)
    any_mysqld.run("DROP TEMPORARY TABLE shop.mine")
    assert after - before > 10_000_000


def test_the_number_of_statements_does_not_grow_with_the_tables(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE DATABASE few", "CREATE DATABASE many")
    any_mysqld.run("CREATE TABLE few.t (id INT) ENGINE=InnoDB")
    any_mysqld.run(*(f"CREATE TABLE many.t{n} (id INT) ENGINE=InnoDB" for n in range(120)))
    server = server_sizes(any_mysqld)
    receipts = []
    for name in ("few", "many"):
        receipt = Receipt()
        sizes = database_sizes(any_mysqld, listed(server, name), receipt=receipt)
        assert sizes.error_bytes == 0
        receipts.append(receipt)
    few, many = receipts
    assert few.queries == many.queries <= 10
    assert many.bytes > few.bytes > 0


def test_whoever_wants_no_result_any_more_is_heard(any_mysqld: TestServer) -> None:
    any_mysqld.run("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT) ENGINE=InnoDB")

    class CancelledError(Exception):
        pass

    def checkpoint() -> None:
        raise CancelledError

    database = listed(server_sizes(any_mysqld), "shop")
    reader = reader_for(any_mysqld.engine)
    with pytest.raises(CancelledError):
        reader.read_database_sizes(
            any_mysqld.target(), database, {}, Budget(60), Receipt(), "", checkpoint
        )
    assert not any_mysqld.run(
        "SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND='Query'"
        " AND INFO LIKE '%TABLES%' AND ID <> CONNECTION_ID()"
    )
