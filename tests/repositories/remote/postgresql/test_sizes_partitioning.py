"""How the partitioned tables of a server stand."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from app.repositories.remote.facts import Receipt
from app.repositories.remote.postgresql.partitioning import partitioning, upper_bound
from app.repositories.remote.sizes import PartitioningFact
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.sizing import by_name, database_sizes, impatient


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def facts(server: PostgresqlServer, **how: object) -> dict[str, PartitioningFact]:
    sizes = database_sizes(server, **how)  # type: ignore[arg-type]
    names = {one.key: one.name for one in sizes.relations}
    return {names[one.key]: one for one in sizes.partitioned}


@pytest.fixture
def app(postgresql: PostgresqlServer) -> PostgresqlServer:
    postgresql.run("CREATE DATABASE app")
    return postgresql


@pytest.mark.parametrize(
    ("column", "bounds", "last_bound", "last_bound_at"),
    [
        ("date", ["'2026-01-01'", "'2026-02-01'"], "('2026-02-01')", utc(2026, 2, 1)),
        (
            "timestamptz",
            ["'2026-03-29 01:00+01'", "'2026-03-30 00:00:00.5+02'"],
            "('2026-03-29 22:00:00.5+00')",
            utc(2026, 3, 29, 22, 0, 0, 500000),
        ),
        (
            "timestamp",
            ["'2025-12-31 23:00'", "'2026-01-01 00:00'"],
            "('2026-01-01 00:00:00')",
            utc(2026, 1, 1),
        ),
        ("timestamp", ["'2026-01-01'", "'infinity'"], "('infinity')", None),
        ("timestamp", ["'2026-01-01'", "'20260-01-01'"], "('20260-01-01 00:00:00')", None),
        ("date", ["'0044-03-15 BC'", "MAXVALUE"], "(MAXVALUE)", None),
        ("date", ["'0044-03-15 BC'", "'0001-01-01'"], "('0001-01-01')", utc(1, 1, 1)),
        ("int", ["-5", "9", "10"], "(10)", None),
        ("bigint", ["-9223372036854775808", "9", "9223372036854775807"], None, None),
        ("numeric", ["-1.5", "0.25", "'NaN'"], "('NaN')", None),
        ("text", ["'it''s'", "'it''s, (not) TO (''x'')'"], None, None),
    ],
)
def test_the_last_partition_is_the_one_with_the_highest_upper_bound(
    app: PostgresqlServer,
    column: str,
    bounds: list[str],
    last_bound: str | None,
    last_bound_at: datetime | None,
) -> None:
    made = [f"CREATE TABLE t (at {column}, n int) PARTITION BY RANGE (at)"]
    lower = ["MINVALUE", *bounds]
    # The highest is made first, and is the first by name.
    made += [
        f"CREATE TABLE part_{len(bounds) - number} PARTITION OF t "
        f"FOR VALUES FROM ({lower[number]}) TO ({bounds[number]})"
        for number in reversed(range(len(bounds)))
    ]
    app.run(*made, database="app")
    app.run(
        "ALTER DATABASE app SET DateStyle = German",
        "ALTER DATABASE app SET TimeZone = 'Asia/Shanghai'",
    )
    found = facts(app)["t"]
    assert found.strategy == "range"
    assert found.key_definition == "RANGE (at)"
    assert found.partition_count == len(bounds)
    assert found.last_partition == "part_1"
    if last_bound is not None:
        assert found.last_bound == last_bound
    assert found.last_bound_at == last_bound_at
    assert (found.default_name, found.default_rows) == (None, None)


def test_each_strategy_and_any_key_is_told_as_the_engine_writes_it(app: PostgresqlServer) -> None:
    app.run(
        'CREATE TABLE several (a date, "B b" int, c text) PARTITION BY RANGE (a, "B b")',
        "CREATE TABLE s1 PARTITION OF several FOR VALUES FROM ('2026-01-01', 5) "
        "TO ('2026-01-01', 70)",
        "CREATE TABLE s2 PARTITION OF several FOR VALUES FROM ('2026-01-01', 70) "
        "TO ('2026-01-01', 500)",
        "CREATE TABLE expressed (at timestamptz) "
        "PARTITION BY RANGE (date_trunc('day', at AT TIME ZONE 'UTC'))",
        "CREATE TABLE e1 PARTITION OF expressed FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')",
        "CREATE TABLE listed (a text) PARTITION BY LIST (a)",
        "CREATE TABLE l1 PARTITION OF listed FOR VALUES IN ('x', NULL)",
        "CREATE TABLE hashed (a int) PARTITION BY HASH (a)",
        "CREATE TABLE h1 PARTITION OF hashed FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CREATE TABLE childless (a date) PARTITION BY RANGE (a)",
        database="app",
    )
    found = facts(app)
    assert found["several"].key_definition == 'RANGE (a, "B b")'
    assert found["several"].last_partition == "s2"
    assert found["several"].last_bound == "('2026-01-01', 500)"
    assert found["several"].last_bound_at is None
    assert "date_trunc('day'::text" in found["expressed"].key_definition
    assert found["expressed"].last_bound_at == datetime(2026, 1, 2, tzinfo=UTC)
    for name, strategy, count in (("listed", "list", 1), ("hashed", "hash", 1)):
        assert found[name].strategy == strategy
        assert found[name].partition_count == count
        assert found[name].last_partition is None
    assert found["childless"].partition_count == 0
    assert found["childless"].last_bound is None
    for name, fact in found.items():
        ((definition,),) = app.fetch(f"SELECT pg_get_partkeydef('{name}'::regclass)", "app")
        assert fact.key_definition == definition


def test_rows_in_the_default_partition_are_estimated_or_unknown(app: PostgresqlServer) -> None:
    app.run(
        "CREATE SCHEMA aside",
        "CREATE TABLE t (a date) PARTITION BY RANGE (a)",
        "CREATE TABLE aside.rest PARTITION OF t DEFAULT",
        "INSERT INTO t SELECT '2026-01-01' FROM generate_series(1, 500)",
        database="app",
    )
    before = facts(app)["t"]
    assert before.default_name == "aside.rest"
    assert before.default_rows is None
    assert before.partition_count == 1
    app.run("ANALYZE aside.rest", database="app")
    assert facts(app)["t"].default_rows == 500


def test_locked_partitioned_tables_are_told_without_waiting(app: PostgresqlServer) -> None:
    app.run(
        "CREATE TABLE t (a date) PARTITION BY RANGE (a)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE e (a date, b int) PARTITION BY RANGE (a, (b + 1))",
        database="app",
    )
    with ExitStack() as stack:
        other = stack.enter_context(app.connect("app"))
        stack.enter_context(other.transaction())
        other.execute("LOCK TABLE t, t1, e IN ACCESS EXCLUSIVE MODE")
        target = impatient(app.target(), lock=30)
        sizes = by_name(database_sizes(app, target=target))
        found = facts(app, target=target)
    assert found["t"].last_bound_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert found["t"].key_definition == "RANGE (a)"
    assert found["e"].key_definition == "RANGE (a, (an expression))"
    assert sizes["t1"].unsized is not None
    assert sizes["t"].unsized is None


def test_a_thousand_partitions_cost_as_many_statements_as_one(app: PostgresqlServer) -> None:
    app.run("CREATE TABLE t (a int) PARTITION BY RANGE (a)", database="app")
    spent = []
    for start, end in ((0, 1), (1, 500), (500, 1000)):
        app.run(
            f"DO $$ BEGIN FOR i IN {start}..{end - 1} LOOP EXECUTE format('CREATE TABLE t%s "
            "PARTITION OF t FOR VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP; END $$",
            database="app",
        )
        receipt = Receipt()
        found = facts(app, receipt=receipt)["t"]
        assert (found.partition_count, found.last_partition) == (end, f"t{end - 1}")
        spent.append(receipt.queries)
    assert spent[0] == spent[1] == spent[2]


def test_bounds_are_taken_apart_whatever_they_hold() -> None:
    bound = upper_bound("p", "FOR VALUES FROM (MINVALUE) TO ('a''b) TO (c', 5, MAXVALUE)")
    assert bound is not None
    assert bound.values == [(1, "a'b) TO (c"), (1, "5"), (2, "")]
    assert bound.text == "('a''b) TO (c', 5, MAXVALUE)"
    assert upper_bound("p", "DEFAULT") is None
    assert upper_bound("p", "FOR VALUES IN ('x')") is None
    (fact,) = partitioning(
        [["1", "r", "RANGE (a)", "2", "integer", None, None]],
        [
            ["1", "low", "FOR VALUES FROM ('-5') TO (MINVALUE)"],
            ["1", "negative", "FOR VALUES FROM (-7) TO ('-6')"],
        ],
    )
    assert (fact.last_partition, fact.last_bound) == ("negative", "('-6')")
