from __future__ import annotations

import pytest

from tests.cli.conftest import Whalefall
from tests.fixtures.postgresql import PostgresqlServer

LONG = "a_name_of_sixty_three_bytes_that_no_table_of_eighty_columns_fits"[:63]


@pytest.fixture
def collected(fleet: Whalefall, postgresql: PostgresqlServer) -> Whalefall:
    """A server with a big database, a partitioned table, and a table that is locked."""
    postgresql.run(f'CREATE DATABASE "{LONG}"', "CREATE DATABASE shop")
    postgresql.run(
        "CREATE TABLE items AS SELECT n AS id, repeat('x', 500) AS text"
        " FROM generate_series(1, 30000) AS n",
        "CREATE TABLE locked (id int)",
        'CREATE TABLE "evil\x1b[2J" (id int)',
        "CREATE TABLE events (id int, at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events"
        " FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')",
        "CREATE TABLE events_rest PARTITION OF events DEFAULT",
        "INSERT INTO events SELECT n, '2026-01-05' FROM generate_series(1, 5000) AS n",
        database="shop",
    )
    with postgresql.connect("shop") as connection, connection.transaction():
        connection.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        assert fleet("run", "capacity", "--wait").code == 3
    return fleet


@pytest.mark.parametrize(
    "command",
    [
        ["top"],
        ["top", "--by", "instance"],
        ["top", "--by", "relation"],
        ["top", "--by", "storage"],
        ["show", "orders"],
        ["show", "orders", "shop"],
        ["show", "orders", LONG],
        ["show", "orders", "shop", "events"],
        ["show", "orders", "shop", "public.locked"],
        ["unsized"],
    ],
    ids=" ".join,
)
def test_answers_fit_80_columns_and_cannot_steer_the_terminal(
    collected: Whalefall, command: list[str]
) -> None:
    said = collected("capacity", *command)
    assert said.code == 0, said.err
    assert said.out
    assert said.widest <= 80
    assert "\x1b" not in said.out + said.err
    shown = collected("capacity", *command, "--json")
    assert isinstance(shown.json, dict)
    assert shown.err == ""


def test_the_biggest_come_first_with_their_exact_bytes(
    collected: Whalefall, postgresql: PostgresqlServer
) -> None:
    rows = collected("capacity", "top", "--json").json["rows"]
    assert [row["database"] for row in rows[:1]] == ["shop"]
    sizes = [row["total_bytes"] for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert rows[0]["certainty"] == "measured"
    found = collected("capacity", "top", "--by", "relation", "--limit", "2", "--json").json
    items, _ = found["rows"]
    assert (items["name"], items["database"]) == ("public.items", "shop")
    ((size,),) = postgresql.fetch("SELECT pg_total_relation_size('items')", database="shop")
    assert items["total_bytes"] == size
    assert found["unsized_count"] == 1
    told = collected("capacity", "top", "--by", "relation")
    assert "1 object without a size may be bigger: whalefall capacity unsized" in told.told
    assert "events_1" not in told.out


def test_a_database_is_shown_with_its_split_and_how_exact_it_is(collected: Whalefall) -> None:
    detail = collected("capacity", "show", "orders", "shop", "--json").json
    assert detail["database"]["unsized_relations"] == 1
    assert detail["unsized"]["rows"][0]["name"] == "public.locked"
    (standing,) = detail["partitioned"]
    assert (standing["name"], standing["partition_count"]) == ("public.events", 2)
    said = " ".join(collected("capacity", "show", "orders", "shop").out.split())
    assert "1 unknown" in said
    assert "public.events: 2 partitions by RANGE (at)" in said
    assert "Unknown orders: table public.locked in shop" in said


def test_a_partitioned_table_is_shown_with_its_partitions(collected: Whalefall) -> None:
    detail = collected("capacity", "show", "orders", "shop", "events", "--json").json
    parts = {part["name"]: part["total_bytes"] for part in detail["partitions"]}
    assert parts.keys() == {"public.events_1", "public.events_rest"}
    assert detail["relation"]["total_bytes"] == sum(parts.values()) > 0
    assert detail["partitioning"]["default_name"] == "events_rest"


def test_what_is_unknown_is_never_shown_as_a_number(collected: Whalefall) -> None:
    locked = collected("capacity", "show", "orders", "shop", "locked")
    assert "unknown" in locked.out
    assert (
        collected("capacity", "show", "orders", "shop", "locked", "--json").json["relation"][
            "total_bytes"
        ]
        is None
    )
    (row,) = collected("capacity", "unsized", "--json").json["unsized"]
    assert (row["kind"], row["name"], row["reason_code"]) == ("table", "public.locked", "locked")
    assert row["since"].endswith("Z")
    assert collected("instance", "edit", "orders", "--port", "1").code == 0
    assert collected("run", "capacity", "--wait").code == 4
    whole = collected("capacity", "show", "orders").out
    assert "brought no sizes: " in whole
    assert "instance orders, unknown since" in whole
    assert all(row["stale"] for row in collected("capacity", "top", "--json").json["rows"])
    assert "not now" in collected("capacity", "top").out


def test_a_sum_of_which_a_part_is_unknown_says_so(
    collected: Whalefall, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgresql.run(
        "CREATE ROLE stranger LOGIN PASSWORD 'only for this test'",
        "REVOKE CONNECT ON DATABASE shop FROM PUBLIC",
    )
    monkeypatch.setenv("WHALEFALL_PASSWORD_S", "only for this test")
    added = ("credential", "add", "s", "--username", "stranger", "--password-env")
    assert collected(*added, "WHALEFALL_PASSWORD_S").code == 0
    assert collected("instance", "edit", "orders", "--credential", "s").code == 0
    assert collected("run", "capacity", "--wait").code == 3
    (row,) = collected("capacity", "top", "--by", "instance", "--json").json["rows"]
    assert (row["total_bytes"], row["unsized_parts"]) == (None, 1)
    assert row["known_bytes"] > 0
    out = " ".join(collected("capacity", "show", "orders").out.split())
    assert "(1 of 5 databases unknown)" in out
    assert "≥" in collected("capacity", "top", "--by", "instance", "--wide").out
    assert "GRANT" in collected("capacity", "unsized").out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "nope"), 1, "no instance named nope"),
        (("show", "orders", "nope"), 1, "no database named nope is known on orders"),
        (("show", "orders", "shop", "nope"), 1, "no relation named nope is known in shop"),
        (("top", "--instance", "nope"), 1, "no instance named nope"),
        (("unsized", "--instance", "nope"), 1, "no instance named nope"),
        (("top", "--by", "nonsense"), 2, "is not one of"),
        (("top", "--limit", "0"), 2, "is not in the range"),
    ],
)
def test_what_does_not_exist_is_named_with_what_to_do(
    collected: Whalefall, arguments: tuple[str, ...], code: int, told: str
) -> None:
    said = collected("capacity", *arguments)
    assert (said.code, told in said.told, said.out) == (code, True, "")


def test_an_empty_ledger_says_how_to_fill_it(whalefall: Whalefall) -> None:
    for command in ("top", "unsized"):
        said = whalefall("capacity", command)
        assert (said.code, said.out) == (0, "")
        assert said.err
    assert "whalefall run capacity --wait" in whalefall("capacity", "top").told
