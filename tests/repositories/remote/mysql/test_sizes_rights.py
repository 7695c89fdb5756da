"""With fewer rights less is known, and that is said: never is anything small, or gone."""

from __future__ import annotations

import pymysql
import pytest

from app.constants.capacity import RelationKind
from app.constants.engines import Engine
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.mysql.sizes_rights import own_rights
from tests.fixtures.mysql import TestServer
from tests.repositories.remote.mysql.sizing import (
    PASSWORD,
    by_name,
    database_sizes,
    fill,
    listed,
    own_databases,
    server_sizes,
    settle,
    watch,
)

ENOUGH = (
    "PROCESS, SHOW VIEW ON *.*",
    "SELECT (event_time) ON mysql.general_log",
    "SELECT (start_time) ON mysql.slow_log",
)


def _make(server: TestServer) -> None:
    server.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.inno (id INT PRIMARY KEY AUTO_INCREMENT, t TEXT) ENGINE=InnoDB",
        "CREATE TABLE shop.isam (id INT PRIMARY KEY AUTO_INCREMENT, t TEXT) ENGINE=MyISAM",
        "CREATE TABLE shop.parts (id INT) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 2",
    )
    fill(server, "shop.inno", rows=500)
    settle(server)


def _remedies(errors: tuple[ReadError, ...]) -> list[str | None]:
    return [error.remedy for error in errors]


def test_two_privileges_and_two_columns_are_enough_to_see_everything(
    any_mysqld: TestServer,
) -> None:
    _make(any_mysqld)
    target = watch(any_mysqld, *ENOUGH)
    seen, whole = server_sizes(any_mysqld, target), server_sizes(any_mysqld)
    assert seen.missing == ()
    assert [one.database.name for one in seen.databases] == [
        one.database.name for one in whole.databases
    ]
    assert {s.key: s.used_bytes for s in seen.storages}.keys() == {s.key for s in whole.storages}
    for name in ("shop", *own_databases(any_mysqld)):
        ours = database_sizes(any_mysqld, name, target)
        theirs = database_sizes(any_mysqld, name)
        assert (ours.missing, ours.error_bytes) == ((), theirs.error_bytes)
        assert {r.key: (r.kind, r.unsized) for r in ours.relations} == {
            r.key: (r.kind, r.unsized) for r in theirs.relations
        }


def test_the_same_rights_through_a_role_are_as_good(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    any_mysqld.run("CREATE ROLE looker", "GRANT PROCESS, SHOW VIEW ON *.* TO looker")
    target = watch(any_mysqld, "USAGE ON *.*")
    default = "SET DEFAULT ROLE looker " + ("TO" if any_mysqld.engine is Engine.MYSQL else "FOR")
    any_mysqld.run("GRANT looker TO watch@localhost", f"{default} watch@localhost")
    sizes = server_sizes(any_mysqld, target)
    assert sizes.missing == ()
    assert database_sizes(any_mysqld, listed(sizes, "shop"), target).missing == ()


def test_an_account_without_rights_is_told_what_to_grant(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    target = watch(any_mysqld, "USAGE ON *.*")
    sizes = server_sizes(any_mysqld, target)
    assert sizes.databases == ()
    assert sizes.storages == ()
    assert {error.kind for error in sizes.missing} == {FailureKind.DENIED}
    assert _remedies(sizes.missing) == [
        "GRANT PROCESS, SHOW VIEW ON *.* TO 'watch'@'…';",
        "GRANT PROCESS ON *.* TO 'watch'@'…';",
    ]


def test_with_names_of_databases_alone_each_is_unknown(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    target = watch(any_mysqld, "SHOW DATABASES ON *.*")
    sizes = server_sizes(any_mysqld, target)
    assert {one.database.name for one in sizes.databases} == own_databases(any_mysqld) | {"shop"}
    for one in sizes.databases:
        assert (one.total_bytes, one.unsized is None) == (None, False)
        assert one.unsized is not None
        assert one.unsized.kind is FailureKind.DENIED
        assert one.unsized.remedy == "GRANT PROCESS, SHOW VIEW ON *.* TO 'watch'@'…';"
        assert one.database.skip_reason is not None
        with pytest.raises(ReadError) as raised:
            database_sizes(any_mysqld, one.database, target)
        assert raised.value.kind is FailureKind.DENIED
    assert _remedies(sizes.missing) == ["GRANT PROCESS ON *.* TO 'watch'@'…';"]


def test_without_the_tables_their_files_are_sized_and_the_list_is_not_whole(
    any_mysqld: TestServer,
) -> None:
    _make(any_mysqld)
    target = watch(any_mysqld, "PROCESS ON *.*")
    sizes = server_sizes(any_mysqld, target)
    assert _remedies(sizes.missing) == ["GRANT PROCESS, SHOW VIEW ON *.* TO 'watch'@'…';"]
    whole = by_name(database_sizes(any_mysqld, "shop"))
    shop = database_sizes(any_mysqld, listed(sizes, "shop"), target)
    relations = by_name(shop)
    assert set(relations) == set(whole) - {"isam"}
    for name, one in relations.items():
        assert (one.kind, one.total_bytes) == (whole[name].kind, whole[name].total_bytes)
        assert one.exact_at is not None
    assert shop.total_bytes is None
    assert [error.kind for error in shop.missing] == [FailureKind.DENIED]
    assert _remedies(shop.missing) == ["GRANT SHOW VIEW ON *.* TO 'watch'@'…';"]


def test_without_the_files_sizes_are_estimates_that_are_marked_so(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    any_mysqld.run("ANALYZE TABLE shop.inno")
    target = watch(any_mysqld, "SELECT ON shop.*")
    sizes = server_sizes(any_mysqld, target)
    assert [one.database.name for one in sizes.databases] == ["shop"]
    assert [one.unsized for one in sizes.databases] == [None]
    assert len(sizes.missing) == 2
    shop = database_sizes(any_mysqld, listed(sizes, "shop"), target)
    assert (shop.missing, shop.error_bytes) == ((), None)
    whole = by_name(database_sizes(any_mysqld, "shop"))
    relations = by_name(shop)
    assert set(relations) == set(whole)
    assert relations["inno"].exact_at is None
    assert relations["inno"].total_bytes is not None
    assert relations["isam"].total_bytes == whole["isam"].total_bytes
    assert relations["isam"].exact_at is not None
    assert relations["parts PARTITION (p0)"].exact_at is None


def test_a_database_that_is_hidden_is_known_by_its_files(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    any_mysqld.run("CREATE DATABASE other")
    target = watch(any_mysqld, "PROCESS ON *.*", "SELECT ON other.*")
    sizes = server_sizes(any_mysqld, target)
    assert {"shop", "other"} <= {one.database.name for one in sizes.databases}
    assert database_sizes(any_mysqld, listed(sizes, "other"), target).missing == ()
    assert database_sizes(any_mysqld, listed(sizes, "shop"), target).missing != ()


def test_a_privilege_that_is_revoked_again_for_one_database_counts(
    mysql_server: TestServer,
) -> None:
    _make(mysql_server)
    mysql_server.run("SET GLOBAL partial_revokes = ON")
    target = watch(mysql_server, "PROCESS, SHOW VIEW ON *.*")
    mysql_server.run("REVOKE SHOW VIEW ON shop.* FROM watch@localhost")
    sizes = server_sizes(mysql_server, target)
    shop = database_sizes(mysql_server, listed(sizes, "shop"), target)
    assert [error.kind for error in shop.missing] == [FailureKind.DENIED]
    assert by_name(shop)["inno"].kind is RelationKind.TABLE
    mysql_server.run("DROP USER watch@localhost")


def test_what_each_privilege_lets_see_is_what_we_take_it_for(any_mysqld: TestServer) -> None:
    _make(any_mysqld)
    any_mysqld.run("CREATE DATABASE `a_b`", "CREATE TABLE `a_b`.t (id INT)")
    any_mysqld.run("CREATE DATABASE axb", "CREATE TABLE axb.t (id INT)")
    watch(any_mysqld, "USAGE ON *.*")

    words = [row[0] for row in any_mysqld.run("SHOW PRIVILEGES")]
    # those with "_" are for no database; "Grant option" shows tables in MariaDB 10.5, but later not
    words = [w for w in words if w not in ("Usage", "Grant option") and "_" not in w]
    tried = 0
    for word in words:
        for place in ("*.*", "`a\\_b`.*", *(["`a_b`.*"] if word == "Select" else [])):
            try:
                any_mysqld.run(f"GRANT {word.upper()} ON {place} TO watch@localhost")
            except pymysql.err.MySQLError:
                continue  # this one cannot be given there
            tried += 1
            _compare(any_mysqld, f"{word} on {place}")
            any_mysqld.run("REVOKE ALL PRIVILEGES, GRANT OPTION FROM watch@localhost")
    assert tried > 40


def _compare(server: TestServer, what: str) -> None:

    connection = pymysql.connect(
        unix_socket=server.local.socket, user="watch", password=PASSWORD, autocommit=True
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW GRANTS")
            rights = own_rights(tuple(cursor.fetchall()), literal=False)
            cursor.execute("SELECT TABLE_SCHEMA FROM information_schema.TABLES")
            seen = {row[0] for row in cursor.fetchall()}
            cursor.execute("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
            databases = {row[0] for row in cursor.fetchall()}
    finally:
        connection.close()
    for schema in ("shop", "a_b", "axb"):
        assert rights.show_tables_of(schema) == (schema in seen), f"{what}: {schema}"
    if rights.list_databases:
        assert databases >= {"shop", "a_b", "axb", *own_databases(server)}, what
