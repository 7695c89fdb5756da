"""The same promises on MySQL and MariaDB, where a database is known by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from tests.fixtures.mysql import TestServer
from tests.services.capacity_collection.conftest import Watched, ask

MONITOR = "monitor@localhost"
PASSWORD = "correct horse battery staple"
SYSTEM = {"mysql", "sys"}


@pytest.fixture
def watched(app: Flask, any_mysqld: TestServer) -> Watched:
    assert app
    numbers = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(10))
    any_mysqld.run(
        f"CREATE USER {MONITOR} IDENTIFIED BY '{PASSWORD}'",
        f"GRANT PROCESS, SHOW VIEW ON *.* TO {MONITOR}",
        f"GRANT SELECT ON mysql.* TO {MONITOR}",
        "CREATE DATABASE shop",
        "CREATE DATABASE crm",
        "CREATE TABLE shop.articles (id int, body varchar(500)) ENGINE = InnoDB",
        "CREATE TABLE shop.old (id int, body varchar(500)) ENGINE = MyISAM",
        "CREATE TABLE shop.events (id int, day date NOT NULL) PARTITION BY RANGE COLUMNS (day)"
        " (PARTITION p1 VALUES LESS THAN ('2026-02-01'),"
        " PARTITION p2 VALUES LESS THAN ('2026-03-01'))",
        "CREATE TABLE crm.people (id int)",
        *(
            f"INSERT INTO shop.{table} SELECT a.n, repeat('x', 500) FROM ({numbers}) AS a,"
            f" ({numbers}) AS b, ({numbers}) AS c"
            for table in ("articles", "old")
        ),
    )
    credentials_service.add("monitor", "monitor", PASSWORD)
    row = instances_service.add(
        name="shop",
        engine=any_mysqld.engine.value,
        host=any_mysqld.local.socket,
        port=3306,
        credential="monitor",
    )
    return Watched(row.id)


def open_databases() -> set[str]:
    return {row.name for row in ask("SELECT name FROM databases WHERE closed_at IS NULL")} - SYSTEM


def test_sizes_arrive_for_every_kind_of_table(watched: Watched, any_mysqld: TestServer) -> None:
    assert watched.collect() in ("succeeded", "partial")
    assert watched.item().error is None
    ((data,),) = any_mysqld.run("SELECT @@datadir")
    found = watched.relations("shop")
    assert {"articles", "old", "events"} <= found.keys()
    assert found["old"].total_bytes == sum(
        (Path(data) / "shop" / name).stat().st_size for name in ("old.MYD", "old.MYI")
    )
    parts = [row for row in found.values() if row.kind == "partition"]
    assert len(parts) == 2
    assert found["events"].total_bytes == sum(part.total_bytes for part in parts) > 0
    databases = watched.databases()
    inside = sum(row.total_bytes for row in found.values() if row.kind != "partitioned")
    assert databases["shop"].total_bytes == inside > 500_000
    total = sum(row.total_bytes for row in databases.values())
    assert watched.instance_size().total_bytes == total
    assert watched.unsized() == {}
    assert watched.collect() == "succeeded"
    assert len(ask("SELECT 1 FROM relations WHERE name = 'articles'")) == 1


def test_account_sync_concludes_nothing_about_databases_that_it_does_not_list(
    watched: Watched,
) -> None:
    watched.collect()
    for _ in range(2):
        accounts_sync_service.sync_batch([watched.instance_id])
    assert open_databases() == {"shop", "crm"}
    assert ask("SELECT database_id FROM account_scopes WHERE database_id IS NOT NULL") == []


def test_what_is_dropped_is_closed_with_its_sizes_kept_and_is_no_change_of_accounts(
    watched: Watched, any_mysqld: TestServer
) -> None:
    watched.collect()
    accounts_sync_service.sync_batch([watched.instance_id])
    any_mysqld.run("DROP DATABASE crm", "DROP TABLE shop.old")
    watched.collect()
    accounts_sync_service.sync_batch([watched.instance_id])
    assert open_databases() == {"shop"}
    rows = ask("SELECT name FROM relations WHERE closed_at IS NOT NULL")
    assert {row.name for row in rows} == {"people", "old"}
    assert ask(
        "SELECT 1 FROM relation_sizes AS s JOIN relations AS r ON r.id = s.relation_id"
        " WHERE r.name = 'people'"
    )
    assert ask("SELECT 1 FROM account_changes") == []
    any_mysqld.run("CREATE DATABASE crm")
    watched.collect()
    assert len(ask("SELECT 1 FROM databases WHERE name = 'crm'")) == 2


def test_an_instance_that_is_away_fails_and_concludes_nothing(
    watched: Watched, any_mysqld: TestServer
) -> None:
    watched.collect()
    before = ask("SELECT * FROM databases ORDER BY id"), ask("SELECT * FROM relations ORDER BY id")
    instances_service.edit("shop", host="/nowhere/mysqld.sock")
    assert watched.collect() == "failed"
    after = ask("SELECT * FROM databases ORDER BY id"), ask("SELECT * FROM relations ORDER BY id")
    assert before == after
    assert watched.unsized().keys() == {"instance shop"}
    instances_service.edit("shop", host=any_mysqld.local.socket)
    watched.collect()
    assert watched.unsized() == {}


def test_what_our_account_may_not_see_is_unknown_and_not_gone(
    watched: Watched, any_mysqld: TestServer
) -> None:
    watched.collect()
    total = watched.instance_size().total_bytes
    assert total is not None
    any_mysqld.run(f"REVOKE ALL ON *.* FROM {MONITOR}", f"GRANT SELECT ON shop.* TO {MONITOR}")
    assert watched.collect() in ("partial", "failed")
    assert open_databases() == {"shop", "crm"}
    assert not ask("SELECT 1 FROM relations WHERE closed_at IS NOT NULL")
    assert watched.unsized()
    assert any("GRANT" in (row.remedy or "") for row in watched.unsized().values())
    size = watched.instance_size()
    assert size is None or size.total_bytes is None
    any_mysqld.run(
        f"GRANT PROCESS, SHOW VIEW ON *.* TO {MONITOR}", f"GRANT SELECT ON mysql.* TO {MONITOR}"
    )
    assert watched.collect() == "succeeded"
    assert watched.unsized() == {}
    assert watched.instance_size().total_bytes == pytest.approx(total, rel=0.2)
