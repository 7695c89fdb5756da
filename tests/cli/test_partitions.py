from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from app.constants.partitions import POLICIES
from tests.cli.conftest import Whalefall

OLD = datetime.now(UTC) - timedelta(days=500)
OLD_NAME = f"scope_observations_{OLD:%Y_%m}"


@pytest.fixture
def store(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def observed(store: psycopg.Connection[Any], moment: datetime) -> None:
    store.execute(
        "INSERT INTO scope_observations (observed_at, run_item_id, instance_id, scope, status,"
        " duration_ms) VALUES (%s, 1, 1, 'server', 'full', 1)",
        (moment,),
    )


def test_apply_does_what_plan_said_and_plan_does_nothing(
    whalefall: Whalefall, store: psycopg.Connection[Any]
) -> None:
    observed(store, OLD)
    plan = whalefall("partitions", "plan", "--json")
    assert plan.code == 0
    assert OLD_NAME in [one["partition"] for one in plan.json["created"]]
    assert [one["partition"] for one in plan.json["dropped"]] == [OLD_NAME]
    same = whalefall("partitions", "apply", "--dry-run", "--json")
    assert same.json | {"measured_at": 0} == plan.json | {"measured_at": 0}
    shown = whalefall("partitions", "plan")
    assert shown.code == 0
    assert shown.widest <= 80
    assert OLD_NAME in shown.out
    assert "Nothing was changed: whalefall partitions apply" in shown.told
    assert store.execute("SELECT count(*) FROM scope_observations").fetchone() == (1,)
    done = whalefall("partitions", "apply")
    assert done.code == 0
    assert "dropped 1" in done.told
    assert store.execute("SELECT count(*) FROM scope_observations").fetchone() == (0,)
    again = whalefall("partitions", "apply", "--json")
    assert (again.json["created"], again.json["dropped"]) == ([], [])


def test_what_failed_is_told_and_ends_with_1(
    whalefall: Whalefall, store: psycopg.Connection[Any]
) -> None:
    observed(store, OLD)
    store.execute(f"CREATE VIEW {OLD_NAME} AS SELECT 1 AS one")
    said = whalefall("partitions", "apply")
    assert said.code == 1
    assert f"Failed: {OLD_NAME}" in said.out
    assert "rename it" in " ".join(said.out.split())
    assert store.execute("SELECT count(*) FROM scope_observations").fetchone() == (1,)
    status = whalefall("partitions", "status")
    assert status.code == 0
    assert "rename it" in " ".join(status.out.split())


def test_a_mistake_in_the_setting_is_told_before_anything_is_dropped(
    whalefall: Whalefall, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    observed(store, OLD)
    monkeypatch.setenv("WHALEFALL_RETENTION", '{"scope_observation": {"days": 9}}')
    said = whalefall("partitions", "apply")
    assert said.code == 1
    assert "did you mean scope_observations?" in said.told
    assert store.execute("SELECT count(*) FROM scope_observations").fetchone() == (1,)
    monkeypatch.setenv("WHALEFALL_RETENTION", '{"scope_observations": {"days": 0}}')
    said = whalefall("partitions", "plan")
    assert said.code == 1
    assert "WHALEFALL_RETENTION" in said.told


def test_status_shows_room_and_what_is_really_kept_and_alarms(
    whalefall: Whalefall, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = whalefall("partitions", "status")
    assert (first.code, first.widest <= 80) == (0, True)
    assert "has not run yet" in first.told
    monkeypatch.setenv("WHALEFALL_RETENTION", '{"account_changes": {"days": 30, "bytes": 2048}}')
    said = whalefall("partitions", "status", "--json")
    tables = {one["table"]: one for one in said.json["tables"]}
    assert set(tables) == set(POLICIES)
    assert tables["account_changes"]["keep_days"] == 30
    assert tables["account_changes"]["keep_bytes"] == 2048
    assert tables["relation_sizes"]["runway_days"] == 14
    for (name,) in store.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'relation_sizes'::regclass AND inhrelid <>"
        " 'relation_sizes_default'::regclass"
    ).fetchall():
        store.execute(f"DROP TABLE {name}")
    said = whalefall("partitions", "status")
    assert said.code == 1
    assert said.out.splitlines()[1].split()[:4] == ["relation_sizes", "alarm", "0", "d"]
    assert "whalefall partitions apply" in said.told
    assert whalefall("partitions", "apply").code == 0
    assert whalefall("partitions", "status").code == 0


def test_partitioned_tables_of_the_servers_are_shown_worst_first(
    whalefall: Whalefall, store: psycopg.Connection[Any]
) -> None:
    assert "Collect first" in whalefall("partitions", "status", "--servers").told
    now = datetime.now(UTC)
    store.execute("INSERT INTO credentials (name, username, secret) VALUES ('c', 'u', '')")
    for number, name in ((1, "orders"), (2, "shop")):
        store.execute(
            "INSERT INTO instances (name, engine, host, port, credential_id)"
            " VALUES (%s, 'postgresql', 'h', 1, 1)",
            (name,),
        )
        store.execute(
            "INSERT INTO databases (instance_id, engine_key, name) VALUES (%s, '1', 'db')",
            (number,),
        )
    rows = [
        (1, "later", now + timedelta(days=40, hours=1), None, None),
        (2, "over", now - timedelta(days=1, hours=12), "over_default", 12_345),
        (2, "soon", now + timedelta(days=4, hours=1), "soon_default", 0),
        (1, "by_hash", None, None, None),
    ]
    for number, (database, name, bound, default, default_rows) in enumerate(rows, start=1):
        store.execute(
            "INSERT INTO relations (database_id, engine_key, schema_name, name, kind,"
            " first_seen_at) VALUES (%s, %s, 'public', %s, 'partitioned', now())",
            (database, str(number), name),
        )
        store.execute(
            "INSERT INTO partitioned_relations (relation_id, strategy, partition_count,"
            " key_definition, last_partition, last_bound, last_bound_at, default_name,"
            " default_rows, observed_at) VALUES (%s, 'range', 3, 'at', 'p9', 'x', %s, %s, %s,"
            " now())",
            (number, bound, default, default_rows),
        )
    said = whalefall("partitions", "status", "--servers", "--json")
    found = [(one["relation"], one["runway_days"]) for one in said.json["tables"]]
    assert found == [("over", -2), ("soon", 4), ("later", 40), ("by_hash", None)]
    shown = whalefall("partitions", "status", "--servers", "--instance", "shop")
    assert shown.code == 0
    assert shown.widest <= 80
    lines = shown.out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:4] == ["shop", "db", "public.over", "none"]
    assert "~12,345" in lines[1]
    assert whalefall("partitions", "status", "--instance", "shop").code == 2
