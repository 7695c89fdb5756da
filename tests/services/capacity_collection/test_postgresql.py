"""A real PostgreSQL: sizes arrive, and nothing is silently missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from flask import Flask, current_app

from app.config import Settings
from app.models import db
from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.capacity_collection import capacity_collection_service as module
from app.services.capacity_collection.capacity_collection_service import (
    TASK,
    capacity_collection_service,
)
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.services.task_runs.items import Fenced, ItemContext
from tests.fixtures.postgresql import PostgresqlServer
from tests.services.capacity_collection.conftest import Watched, ask

PASSWORD = "correct horse battery staple"


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Short time-outs, one attempt: each failure is the one that the test makes."""
    return Settings(
        database_url=store_url,
        data_dir=tmp_path / "data",
        statement_timeout_seconds=5,
        lock_timeout_seconds=0.3,
        connect_timeout_seconds=3,
        item_attempts=1,
        databases_at_once=2,
    )


@pytest.fixture
def watched(app: Flask, postgresql: PostgresqlServer) -> Watched:
    assert app
    postgresql.run(
        f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}'",
        "GRANT pg_read_all_stats TO monitor",
        "CREATE DATABASE orders",
        "CREATE DATABASE crm",
    )
    for name in ("orders", "crm"):
        postgresql.run(
            "CREATE TABLE items AS SELECT n AS id, md5(n::text) AS text"
            " FROM generate_series(1, 3000) AS n",
            "CREATE INDEX ON items (text)",
            database=name,
        )
    credentials_service.add("monitor", "monitor", PASSWORD)
    row = instances_service.add(
        name="pg",
        engine="postgresql",
        host="127.0.0.1",
        port=postgresql.port,
        credential="monitor",
        tls_mode="disable",
    )
    return Watched(row.id)


def register(postgresql: PostgresqlServer, watched: Watched, port: int | None = None) -> None:
    """Point the instance at another port, where nobody listens, or back."""
    db.session.rollback()
    instances_service.edit("pg", port=port or postgresql.port)
    assert watched


@contextmanager
def locked(server: PostgresqlServer, table: str, database: str) -> Iterator[None]:
    with server.connect(database) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def test_sizes_arrive_as_the_server_says_them(
    watched: Watched, postgresql: PostgresqlServer
) -> None:
    postgresql.run(
        "CREATE TABLE events (id int, at date) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events"
        " FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE events_2 PARTITION OF events"
        " FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
        "INSERT INTO events SELECT n, date '2026-01-01' + n % 59"
        " FROM generate_series(1, 5000) AS n",
        "CREATE TABLE wide (body text)",
        "ALTER TABLE wide ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO wide SELECT repeat('x', 100000) FROM generate_series(1, 20)",
        database="orders",
    )
    watched.collect()  # the first login to a database writes a cache file into it
    assert watched.collect() == "succeeded"
    found = watched.relations("orders")
    sizes = dict(
        postgresql.fetch(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relname IN ('items', 'events_1', 'events_2', 'wide')",
            database="orders",
        )
    )
    assert {name: found[name].total_bytes for name in sizes} == sizes
    assert found["events"].total_bytes == sizes["events_1"] + sizes["events_2"] > 0
    assert found["wide"].toast_bytes > 1_900_000
    assert found["items"].index_bytes > 0
    assert found["items"].exact_at is not None
    expected = dict(postgresql.fetch("SELECT datname, pg_database_size(oid) FROM pg_database"))
    databases = watched.databases()
    assert {name: row.total_bytes for name, row in databases.items()} == expected
    assert watched.instance_size().total_bytes == sum(expected.values())
    orders = databases["orders"]
    assert (orders.unsized_relations, orders.estimated_relations, orders.error_bytes) == (0, 0, 0)
    inside = sum(row.total_bytes for row in found.values() if row.kind != "partitioned")
    assert 0.97 < inside / orders.total_bytes <= 1
    assert orders.data_bytes + orders.index_bytes == inside
    tablespaces = {row.name for row in ask("SELECT name FROM storages WHERE kind = 'tablespace'")}
    assert tablespaces == {"pg_default", "pg_global"}
    item = watched.item()
    assert item.coverage == {"full": 5, "partial": 0, "denied": 0, "skipped": 1, "failed": 0}
    assert item.receipt["databases"] == len(expected)
    measured, carried = item.receipt["measured"], item.receipt["carried"]
    assert item.receipt["relations"] == measured + carried == 10
    assert item.receipt["queries"] > 0
    assert watched.unsized() == {}


def test_any_number_of_collections_a_day_each_have_their_sizes(watched: Watched) -> None:
    moments = set()
    for _ in range(3):
        assert watched.collect() == "succeeded"
        moments.add(watched.collected_at())
        assert watched.databases().keys() == {"orders", "crm", "postgres", "template0", "template1"}
    assert len(moments) == len(ask("SELECT 1 FROM instance_sizes")) == 3
    assert len(ask("SELECT 1 FROM relations WHERE name = 'items'")) == 2


def test_a_database_that_refuses_us_loses_no_other_and_says_what_to_grant(
    watched: Watched, postgresql: PostgresqlServer
) -> None:
    assert watched.collect() == "succeeded"
    postgresql.run("REVOKE CONNECT ON DATABASE crm FROM PUBLIC")
    assert watched.collect() == "partial"
    assert watched.unsized().keys() == {"relations crm"}, "its total can be had without"
    assert watched.instance_size().total_bytes is not None
    assert watched.databases()["crm"].relation_count is None
    postgresql.run("REVOKE pg_read_all_stats FROM monitor")
    assert watched.collect() == "partial"
    assert "orders" in watched.databases()
    assert "crm" not in watched.databases()
    assert "items" in watched.relations("orders")
    unsized = watched.unsized()
    assert unsized.keys() == {"tablespace pg_global", "database crm", "relations crm"}
    assert all("GRANT" in row.remedy for row in unsized.values())
    assert all(row.reason_code == "denied" for row in unsized.values())
    size = watched.instance_size()
    assert (size.total_bytes, size.unsized_databases) == (None, 1)
    assert size.known_bytes == sum(row.total_bytes for row in watched.databases().values())
    assert not ask("SELECT 1 FROM relations WHERE closed_at IS NOT NULL")
    assert "crm: " in watched.item().error
    assert watched.item().coverage["denied"] == 1
    since = unsized["database crm"].since
    watched.collect()
    assert watched.unsized()["database crm"].since == since
    postgresql.run("GRANT CONNECT ON DATABASE crm TO monitor", "GRANT pg_read_all_stats TO monitor")
    assert watched.collect() == "succeeded"
    assert watched.unsized() == {}
    assert watched.instance_size().total_bytes is not None


def test_an_instance_that_is_away_fails_and_concludes_nothing(
    watched: Watched, postgresql: PostgresqlServer
) -> None:
    assert watched.collect() == "succeeded"
    before = [
        ask(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("databases", "relations", "storages", "relation_sizes", "database_sizes")
    ]
    register(postgresql, watched, port=1)
    assert watched.collect() == "failed"
    assert before == [
        ask(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("databases", "relations", "storages", "relation_sizes", "database_sizes")
    ]
    assert watched.item().error_code == "refused"
    assert watched.unsized().keys() == {"instance pg"}
    rows = ask("SELECT ended_at FROM capacity_collections")
    assert [row.ended_at is not None for row in rows] == [True, True], "it was expected"
    assert watched.instance_size() is None
    register(postgresql, watched)
    assert watched.collect() == "succeeded"
    assert watched.unsized() == {}


def test_a_locked_table_is_unknown_until_it_can_be_measured_again(
    watched: Watched, postgresql: PostgresqlServer
) -> None:
    assert watched.collect() == "succeeded"
    with locked(postgresql, "items", "orders"):
        assert watched.collect() == "partial"
        since = watched.collected_at()
        assert "items" not in watched.relations("orders")
        assert "items" in watched.relations("crm")
        assert watched.collect() == "partial"
        unsized = watched.unsized()
        assert unsized.keys() == {"table public.items"}
        assert unsized["table public.items"].reason_code == "locked"
        assert unsized["table public.items"].since == since
        assert watched.databases()["orders"].unsized_relations == 1
        assert watched.databases()["orders"].total_bytes > 0
    assert watched.collect() == "succeeded"
    assert watched.relations("orders")["items"].total_bytes > 0
    assert watched.unsized() == {}


def test_dropped_and_created_again_is_another_relation_and_nothing_is_deleted(
    watched: Watched, postgresql: PostgresqlServer
) -> None:
    watched.collect()
    postgresql.run("DROP TABLE items", "CREATE TABLE items (id int)", database="orders")
    assert watched.collect() == "succeeded"
    rows = ask(
        "SELECT r.id, r.closed_at FROM relations AS r JOIN databases AS d ON d.id = r.database_id"
        " WHERE r.name = 'items' AND d.name = 'orders' ORDER BY r.id"
    )
    assert [row.closed_at is None for row in rows] == [False, True]
    assert ask("SELECT 1 FROM relation_sizes WHERE relation_id = %s", rows[0].id)


@pytest.mark.parametrize("first", ["capacity", "accounts"])
def test_a_dropped_database_is_told_once_whichever_job_sees_it_first(
    watched: Watched, postgresql: PostgresqlServer, first: str
) -> None:
    postgresql.run("CREATE ROLE alice", "GRANT CREATE ON DATABASE crm TO alice")
    postgresql.run("GRANT SELECT ON items TO alice", database="crm")

    def sync() -> None:
        accounts_sync_service.sync_batch([watched.instance_id])
        assert watched.item().state == "succeeded"

    watched.collect()
    sync()
    postgresql.run("DROP DATABASE crm")
    if first == "capacity":
        assert watched.collect() == "succeeded"
        sync()
    else:
        sync()
        assert watched.collect() == "succeeded"
    sync()
    (change,) = ask("SELECT * FROM account_changes")
    assert (change.kind, change.database_name) == ("database_dropped", "crm")
    assert change.diff["removed"][0]["holders"] >= 2
    (gone,) = ask("SELECT * FROM databases WHERE closed_at IS NOT NULL")
    assert gone.name == "crm"
    assert not ask("SELECT 1 FROM relations WHERE database_id = %s AND closed_at IS NULL", gone.id)
    assert ask("SELECT 1 FROM relation_sizes WHERE database_id = %s", gone.id)
    assert not ask(
        "SELECT 1 FROM entitlements WHERE database_id = %s AND valid_to IS NULL", gone.id
    )


_SESSION_DIES_ONCE = """
CREATE SEQUENCE sized;
CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('sized') = 4 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER die_once AFTER INSERT ON database_sizes FOR EACH ROW EXECUTE FUNCTION die_once()
"""
"""In the middle of a transaction; a sequence goes on counting when that is rolled back."""


def test_an_attempt_that_loses_the_store_is_gone_on_with_and_nothing_is_written_twice(
    watched: Watched,
    postgresql: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    postgresql.run(*(f"CREATE DATABASE more_{n}" for n in range(8)))
    monkeypatch.setattr(module, "_DATABASES_A_TRANSACTION", 1)
    current_app.extensions["whalefall"] = settings.model_copy(update={"item_attempts": 3})
    with psycopg.connect(str(settings.database_url).replace("+psycopg", "")) as connection:
        connection.execute(_SESSION_DIES_ONCE)
    assert watched.collect() == "succeeded"
    assert watched.item().attempt > 1
    assert len(ask("SELECT 1 FROM capacity_collections")) == 1
    assert len(watched.databases()) == 13
    for table, key in (
        ("database_sizes", "database_id"),
        ("relation_sizes", "relation_id"),
        ("storage_sizes", "storage_id"),
        ("instance_sizes", "instance_id"),
    ):
        twice = ask(f"SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1")
        assert twice == [], table
    assert watched.item().coverage["full"] == 13


def test_an_older_attempt_is_refused_before_it_writes_anything(watched: Watched) -> None:
    watched.collect()
    item = watched.item()
    counts = "SELECT count(*) AS n FROM capacity_collections"
    before = ask(counts)
    stale = ItemContext(
        item.run_id, item.id, watched.instance_id, item.attempt - 1, TASK, db.sessionmaker
    )
    with pytest.raises(Fenced):
        capacity_collection_service.collect_one(stale)
    db.session.rollback()
    assert ask(counts) == before


def test_databases_whose_turn_does_not_come_keep_their_totals_and_come_first_next_time(
    watched: Watched, settings: Settings
) -> None:
    current_app.extensions["whalefall"] = settings.model_copy(
        update={"capacity_instance_seconds": 1e-9}
    )
    assert watched.collect() == "partial"
    assert watched.instance_size().total_bytes is not None
    assert {row.relation_count for row in watched.databases().values()} == {None}
    unsized = watched.unsized()
    assert unsized.keys() == {f"relations {n}" for n in ("crm", "orders", "postgres", "template1")}
    assert {row.reason_code for row in unsized.values()} == {"budget"}
    current_app.extensions["whalefall"] = settings
    assert watched.collect() == "succeeded"
    assert watched.unsized() == {}
