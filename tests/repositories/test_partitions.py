"""The partition of a moment: its name, its bounds, and making it from within any transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from app.constants.partitions import POLICIES, PartitionPolicy, Step
from app.repositories import partitions
from app.repositories.partition_catalog import partitions_of
from app.repositories.partitions import (
    EARLIEST,
    LATEST,
    Patience,
    ensure_partition,
    make_partition,
    name_of,
    partition_name,
    span_of,
    spans_ahead,
)

SHANGHAI = timezone(timedelta(hours=8))
FAR = datetime(2031, 5, 17, 12, tzinfo=UTC)
TABLE = "scope_observations"
NAME = "scope_observations_2031_05"
INSERT = (
    "INSERT INTO scope_observations (observed_at, run_item_id, instance_id, scope, status,"
    " duration_ms) VALUES (:moment, 1, 1, 'server', 'full', 1)"
)
moments = st.integers(0, 3_650_000 * 86_400).map(
    lambda seconds: (EARLIEST + timedelta(seconds=seconds)).astimezone(SHANGHAI)
)


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    found = create_engine(store_url, poolclass=NullPool)
    yield found
    found.dispose()


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_not_before", {})


def insert(connection: Connection, moment: datetime = FAR) -> None:
    connection.execute(text(INSERT), {"moment": moment})


def held_by(connection: Connection) -> list[str]:
    return list(
        connection.scalars(
            text(f"SELECT tableoid::regclass::text AS held FROM {TABLE} ORDER BY held")
        )
    )


@given(moments, st.sampled_from(list(Step)))
def test_a_moment_lies_in_its_span_and_spans_follow_each_other_without_a_gap(
    moment: datetime, step: Step
) -> None:
    span = span_of(step, moment)
    assert moment in span
    assert span_of(step, span.lower) == span
    following = span_of(step, span.upper)
    assert following.lower == span.upper
    assert span_of(step, span.upper - timedelta(microseconds=1)) == span


@given(
    moments,
    moments,
    st.sampled_from(["scope_observations", "relation_sizes", "capacity_rollups_week"]),
)
def test_two_moments_have_one_name_if_and_only_if_they_have_one_span(
    one: datetime, other: datetime, table: str
) -> None:
    step = POLICIES[table].step
    same = span_of(step, one) == span_of(step, other)
    assert (partition_name(table, one) == partition_name(table, other)) is same


@given(moments)
def test_a_part_of_a_span_has_a_name_of_its_own_that_postgresql_can_hold(moment: datetime) -> None:
    for policy in POLICIES.values():
        whole = span_of(policy.step, moment)
        part = partitions.Span(whole.lower + timedelta(seconds=1), whole.upper)
        name = name_of(policy.table, policy.step, part)
        assert name != name_of(policy.table, policy.step, whole)
        assert len(name) <= 63


@given(moments, st.sampled_from(list(POLICIES.values())))
def test_what_is_ahead_begins_now_and_has_no_gap(moment: datetime, policy: PartitionPolicy) -> None:
    spans = list(spans_ahead(policy, moment))
    assert moment in spans[0]
    assert len(spans) == policy.ahead + 1
    assert all(before.upper == after.lower for before, after in pairwise(spans))


def test_rows_that_the_default_partition_took_come_along(engine: Engine) -> None:
    with engine.begin() as connection:
        insert(connection)
        insert(connection, FAR + timedelta(days=31))
    with engine.begin() as connection:
        ensure_partition(connection, TABLE, FAR)
        insert(connection)
        assert held_by(connection) == [NAME, NAME, "scope_observations_default"]


def test_it_goes_with_the_transaction_that_made_it(engine: Engine) -> None:
    with engine.connect() as connection:
        ensure_partition(connection, TABLE, FAR)
        connection.rollback()
        ensure_partition(connection, TABLE, FAR)
        insert(connection)
        connection.commit()
        assert held_by(connection) == [NAME]


def test_what_was_seen_costs_no_question(engine: Engine) -> None:
    with engine.begin() as connection:
        ensure_partition(connection, TABLE, FAR)
    with engine.begin() as connection:
        ensure_partition(connection, TABLE, FAR)
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        started = time.perf_counter()
        for _ in range(1000):
            ensure_partition(connection, TABLE, FAR)
        assert time.perf_counter() - started < 0.5


def test_a_writer_is_not_kept_waiting_by_whoever_reads_and_the_default_partition_takes_the_row(
    engine: Engine, store_url: str
) -> None:
    with psycopg.connect(store_url.replace("+psycopg", "", 1)) as reader:
        reader.execute("SELECT count(*) FROM scope_observations")
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '7s'"))
            started = time.monotonic()
            ensure_partition(connection, TABLE, FAR)
            ensure_partition(connection, TABLE, FAR)  # not tried again at once
            assert time.monotonic() - started < 2
            assert connection.scalar(text("SHOW lock_timeout")) == "7s"
            insert(connection)
            assert held_by(connection) == ["scope_observations_default"]


def test_the_callers_lock_timeout_stays_his_own(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '7s'"))
        ensure_partition(connection, TABLE, FAR)
        assert connection.scalar(text("SHOW lock_timeout")) == "7s"


def test_a_partition_made_by_hand_takes_the_row(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE whole_year PARTITION OF scope_observations"
                " FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')"
            )
        )
    with engine.begin() as connection:
        ensure_partition(connection, TABLE, FAR)
        insert(connection)
        assert held_by(connection) == ["whole_year"]


def test_a_time_of_no_calendar_is_left_to_the_default_partition(engine: Engine) -> None:
    with engine.begin() as connection:
        for moment in (
            EARLIEST - timedelta(microseconds=1),
            LATEST,
            datetime.max.replace(tzinfo=UTC),
        ):
            ensure_partition(connection, TABLE, moment)
            insert(connection, moment)
        assert held_by(connection) == ["scope_observations_default"] * 3


def test_many_writers_that_need_the_same_new_partition_write_all_their_rows(
    engine: Engine,
) -> None:
    together = threading.Barrier(6)
    errors: list[Exception] = []

    def write() -> None:
        try:
            with engine.begin() as connection:
                together.wait(20)
                for table in ("account_changes", TABLE):
                    ensure_partition(connection, table, FAR)
                insert(connection)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    with engine.begin() as connection:
        assert len(held_by(connection)) == 6
        names = {part.name for part in partitions_of(connection, [TABLE])[TABLE]}
        assert NAME in names


def test_two_writers_that_need_two_tables_the_other_way_round_end_no_other(engine: Engine) -> None:
    together = threading.Barrier(2)
    errors: list[Exception] = []

    def write(tables: list[str]) -> None:
        try:
            with engine.begin() as connection:
                for table in tables:
                    ensure_partition(connection, table, FAR)
                    together.wait(20)
                insert(connection)
                connection.execute(
                    text(
                        "INSERT INTO account_changes (occurred_at, instance_id, kind, raised, diff)"
                        " VALUES (:moment, 1, 'x', false, '{}')"
                    ),
                    {"moment": FAR},
                )
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    tables = ["account_changes", TABLE]
    threads = [threading.Thread(target=write, args=(order,)) for order in (tables, tables[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM account_changes")) == 2
        assert len(held_by(connection)) == 2


def test_an_insert_that_waits_for_the_default_partition_lands_in_the_new_one(
    engine: Engine,
) -> None:
    """Without the lock on the table it would be refused: it had chosen the default one."""
    landed: list[str] = []

    def write() -> None:
        with engine.begin() as connection:
            insert(connection)
            landed.extend(held_by(connection))

    thread = threading.Thread(target=write)
    with engine.connect() as connection, connection.begin():
        span = span_of(Step.MONTH, FAR)
        make_partition(connection, POLICIES[TABLE], span, Patience())
        thread.start()
        time.sleep(0.5)
        assert landed == []
    thread.join(20)
    assert landed == [NAME]


def test_bounds_are_read_right_whatever_the_session_calls_them(engine: Engine) -> None:
    with engine.begin() as connection:
        ensure_partition(connection, TABLE, FAR)
        ensure_partition(connection, "capacity_rollups_day", FAR)
    spans = set()
    for zone in ("UTC", "Asia/Shanghai", "America/St_Johns"):
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL timezone = '{zone}'"))
            connection.execute(text("SET LOCAL datestyle = 'ISO, DMY'"))
            found = partitions_of(connection, [TABLE, "capacity_rollups_day"])
            for parts in found.values():
                assert parts[-1].span is None
                (part,) = (one for one in parts if one.name.endswith("_2031_05"))
                spans.add(part.span)
    assert spans == {span_of(Step.MONTH, FAR)}
