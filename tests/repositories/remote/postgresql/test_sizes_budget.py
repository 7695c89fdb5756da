"""What the budget does not reach is carried over or estimated, within a stated bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind
from app.repositories.remote.postgresql.sizes_estimates import (
    Guess,
    Listed,
    error_bound,
    guess,
    turns,
)
from app.repositories.remote.sizes import DatabaseSizes, KnownSize
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.sizing import (
    by_name,
    database_sizes,
    let_statistics_arrive,
    remembered,
)

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
BIG = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300 + g % 2))"


@pytest.fixture
def app(postgresql: PostgresqlServer) -> PostgresqlServer:
    """A database whose relations PostgreSQL knows well, by halves, or not at all."""
    postgresql.run("CREATE DATABASE app")
    for name in ("analyzed", "grown", "shrunk", "new", "unlogged", "still"):
        kind = "UNLOGGED" if name == "unlogged" else ""
        postgresql.run(
            f"CREATE {kind} TABLE {name} (a int PRIMARY KEY, b text)",
            f"INSERT INTO {name} SELECT g, repeat('x', 100) FROM generate_series(1, 20000) AS g",
            database="app",
        )
    postgresql.run(
        f"CREATE TABLE toasted AS SELECT g AS a, {BIG} AS b FROM generate_series(1, 200) AS g",
        "VACUUM ANALYZE analyzed, grown, shrunk, unlogged, still",
        "ANALYZE toasted",
        "INSERT INTO grown SELECT g, repeat('x', 100) FROM generate_series(20001, 60000) AS g",
        "CREATE TABLE empty (a int)",
        "CREATE TABLE parted (a int) PARTITION BY LIST (a)",
        "CREATE TABLE part PARTITION OF parted DEFAULT",
        "INSERT INTO parted SELECT g FROM generate_series(1, 5000) AS g",
        "VACUUM part",
        database="app",
    )
    let_statistics_arrive(postgresql)
    return postgresql


def real_error(server: PostgresqlServer, sizes: DatabaseSizes, since: datetime) -> int:
    """Return by how many bytes all that was not measured since then is wrong, one by one."""
    real = dict(server.fetch("SELECT oid::text, pg_total_relation_size(oid) FROM pg_class", "app"))
    return sum(
        abs(one.total_bytes - real[one.key])
        for one in sizes.relations
        if one.total_bytes is not None and (one.exact_at is None or one.exact_at < since)
    )


def test_without_any_time_sizes_are_estimates_and_no_further_off_than_stated(
    app: PostgresqlServer,
) -> None:
    since = datetime.now(UTC)
    sizes = database_sizes(app, seconds=0)
    estimated = [one for one in sizes.relations if one.exact_at is None and one.total_bytes]
    assert len(estimated) >= 5
    assert sizes.error_bytes is not None
    assert 0 < real_error(app, sizes, since) <= sizes.error_bytes
    ((total,),) = app.fetch("SELECT pg_database_size('app')")
    assert sizes.total_bytes == total
    named = by_name(sizes)
    assert named["analyzed"].total_bytes == pytest.approx(3_500_000, rel=0.2)
    assert named["analyzed"].change_mark is None
    assert named["system catalogs"].exact_at is not None  # the catalogs are always measured
    assert named["parted"].total_bytes == 0


def test_of_what_nobody_can_estimate_the_size_is_unknown_and_not_nothing(
    app: PostgresqlServer,
) -> None:
    app.run("CREATE TABLE other AS SELECT generate_series(1, 9000) AS a", database="app")
    let_statistics_arrive(app)
    sizes = by_name(database_sizes(app, seconds=0))
    unknown = {name for name, one in sizes.items() if one.total_bytes is None}
    assert unknown | {"new", "other"} == {"new", "other"}
    assert len(unknown) == 1  # the other one came first
    unsized = sizes[unknown.pop()].unsized
    assert unsized is not None
    assert unsized.kind is FailureKind.BUDGET
    assert "comes first next time" in unsized.message
    assert sizes["empty"].total_bytes == 0  # nothing was ever written to it: that is known


def test_each_collection_measures_some_more_until_every_size_is_exact(
    app: PostgresqlServer,
) -> None:
    known: dict[str, KnownSize] = {}
    exact, bounds = [], []
    for _ in range(30):
        since = datetime.now(UTC)
        sizes = database_sizes(app, known=known, seconds=0)
        assert sizes.error_bytes is not None
        assert real_error(app, sizes, since) <= sizes.error_bytes
        known = remembered(sizes)
        exact.append(sum(one.exact_at is not None for one in sizes.relations))
        bounds.append(sizes.error_bytes)
        if exact[-1] == len(sizes.relations):
            break
    assert exact == sorted(exact)
    assert exact[-1] == len(sizes.relations)
    assert len(exact) <= len(sizes.relations)
    assert bounds[-1] < 400_000 < bounds[0]  # what is left are files of no relation
    whole = by_name(database_sizes(app))
    assert {name: one.total_bytes for name, one in by_name(sizes).items()} == {
        name: one.total_bytes for name, one in whole.items()
    }


def test_an_unchanged_relation_keeps_the_time_at_which_it_was_measured_and_a_changed_one_not(
    app: PostgresqlServer,
) -> None:
    first = database_sizes(app)
    assert first.error_bytes == 0
    app.run(
        "TRUNCATE shrunk",
        "INSERT INTO grown SELECT g, repeat('x', 100) FROM generate_series(60001, 90000) AS g",
        database="app",
    )
    let_statistics_arrive(app)
    since = datetime.now(UTC)
    sizes = database_sizes(app, known=remembered(first), seconds=0)
    assert sizes.error_bytes is not None
    assert real_error(app, sizes, since) <= sizes.error_bytes
    before, after = by_name(first), by_name(sizes)
    assert after["still"] == before["still"]
    (again,) = (
        name
        for name, one in after.items()
        if one.exact_at
        and one.exact_at >= since
        and one.kind not in {RelationKind.SYSTEM, RelationKind.PARTITIONED}
    )
    assert again == "grown"  # changed, and the largest
    assert after["shrunk"].exact_at is None
    assert after["shrunk"].total_bytes == before["shrunk"].total_bytes  # and the bound knows


def test_with_time_enough_even_what_has_not_changed_is_measured_again(
    app: PostgresqlServer,
) -> None:
    known = remembered(database_sizes(app))
    since = datetime.now(UTC)
    sizes = database_sizes(app, known=known)
    assert all(one.exact_at is not None and one.exact_at >= since for one in sizes.relations)
    assert sizes.error_bytes == 0


def test_where_the_engine_does_not_count_changes_nothing_is_carried_over(
    app: PostgresqlServer,
) -> None:
    app.run("ALTER DATABASE app SET track_counts = off")
    sizes = database_sizes(app)
    assert {one.change_mark for one in sizes.relations} == {None}
    again = database_sizes(app, known=remembered(sizes), seconds=0)
    carried = [
        one
        for one in again.relations
        if one.kind not in {RelationKind.SYSTEM, RelationKind.PARTITIONED} and one.exact_at
    ]
    assert len(carried) == 1  # the one that was measured


def listed(key: int, **facts: object) -> Listed:
    plain = Listed(str(key), "s", f"t{key}", "r", "p", None, 0, 0, 0, 0, True, None, key)
    return plain._replace(**facts)  # type: ignore[arg-type]


def measured(total: int, mark: int | None, at: datetime | None = NOW) -> KnownSize:
    return KnownSize(total, total, 0, 0, None, None, at, mark)


def test_turns_come_by_weight_and_one_in_four_by_age() -> None:
    relations = [
        listed(1, likely_bytes=10, told=False),
        listed(2, likely_bytes=500),
        listed(3, likely_bytes=900),
        listed(4, likely_bytes=9000),
        listed(5, likely_bytes=9000),
        listed(6, likely_bytes=9000),
        listed(7, likely_bytes=700),
    ]
    known = {
        "2": measured(500, 1),  # changed
        "4": measured(9000, 4, NOW - timedelta(days=2)),
        "5": measured(9000, 5, NOW - timedelta(days=3)),
        "6": measured(9000, 6),
        "3": measured(900, 1),  # changed
        "7": measured(700, 1, NOW - timedelta(days=9)),  # changed
        "1": measured(10, None, NOW - timedelta(days=8)),  # changed or not, nobody knows
    }
    assert turns(relations, known) == ["3", "7", "2", "1", "5", "4", "6"]
    new = turns(relations, {key: it for key, it in known.items() if key != "1"})
    assert new[0] == "1"  # nobody can estimate it
    assert sorted(turns(relations, {})) == ["1", "2", "3", "4", "5", "6", "7"]


def test_among_those_never_measured_a_new_draw_decides_each_time() -> None:
    relations = [listed(key, likely_bytes=10**9 - key) for key in range(400)]
    drawn = set()
    for _ in range(60):
        order = turns(relations, {})
        drawn |= set(order[3:40:4]) - set(order[:3])
    assert len(drawn & {str(key) for key in range(200, 400)}) > 50


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_distribution_of_errors_exceeds_the_bound(data: st.DataObject) -> None:
    number = st.integers(0, 10**6)
    guesses, errors, real_total = [], 0, 0
    for _ in range(data.draw(st.integers(0, 6))):
        least, over, more = (data.draw(number) for _ in range(3))
        real = least + more
        guesses.append(Guess(least + over, None, None, None, None, least))
        errors += abs(least + over - real)
        real_total += real
    exact, of_none = data.draw(number), data.draw(number)
    assert errors <= error_bound(exact + real_total + of_none, exact, guesses)


@pytest.mark.parametrize(
    ("relation", "last", "total_bytes", "exact_at"),
    [
        (listed(1, data_bytes=8), None, 8, None),
        (listed(1, data_bytes=8, told=False), measured(5, 2), 8, None),
        (listed(1, data_bytes=8), measured(99, 2), 99, None),
        (listed(1, data_bytes=8), measured(99, 1), 99, NOW),
        (listed(1, data_bytes=8), measured(99, 1, None), 99, None),
        (listed(1, data_bytes=8, change_mark=None), measured(99, None), 99, None),
    ],
)
def test_a_guess_is_the_last_size_or_what_the_catalog_says(
    relation: Listed, last: KnownSize | None, total_bytes: int, exact_at: datetime | None
) -> None:
    found = guess(relation, last)
    assert found is not None
    assert (found.total_bytes, found.exact_at) == (total_bytes, exact_at)


def test_a_crash_may_have_emptied_what_is_unlogged() -> None:
    found = guess(listed(1, data_bytes=8192, persistence="u"), None)
    assert found is not None
    assert (found.total_bytes, found.least_bytes) == (8192, 0)
