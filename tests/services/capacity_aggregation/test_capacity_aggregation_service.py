from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.constants.capacity import Period, Scope
from app.models import db
from app.repositories import capacity_periods
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.utils.refusal import Refused
from tests.services.capacity_aggregation.samples import TABLES, Ledger

START = datetime(2026, 3, 2, 4, tzinfo=UTC)
DAY = date(2026, 3, 2)
THING = (Scope.DATABASE, 1)


@pytest.fixture
def ledger(app: Flask) -> Iterator[Ledger]:
    ledger = Ledger(app)
    ledger.begin("Asia/Shanghai")
    for instance in (1, 2):
        ledger.add(Scope.INSTANCE, instance)
        ledger.add(Scope.DATABASE, instance, instance=instance, first_seen_at=START)
    yield ledger
    db.session.close()


def collect(ledger: Ledger, days: int, *, first: int = 0, instance: int = 1) -> None:
    for day in range(first, first + days):
        moment = START + timedelta(days=day)
        ledger.collect(instance, moment, {(Scope.DATABASE, instance): 1000 + day})


def aggregate(**days: str) -> dict[str, Any]:
    return capacity_aggregation_service.aggregate(**days)


def periods(ledger: Ledger) -> dict[tuple[str, date], Any]:
    rows = ledger.connection().execute(
        "SELECT period, start_on, computed_at, sealed_at, expired_at FROM capacity_periods"
    )
    found = {(row[0], row[1]): row[2:] for row in rows}
    db.session.rollback()
    return found


def drop(ledger: Ledger, days: int) -> None:
    for table in TABLES:
        for day in range(days):
            ledger.drop_partition(table, START + timedelta(days=day))


def test_a_month_of_backlog_is_computed_and_sealed_in_one_go(ledger: Ledger) -> None:
    collect(ledger, 40)
    result = aggregate()
    assert result["failed_count"] == 0
    assert (result["days"], result["weeks"]) == (40, 6)
    assert (result["months"], result["quarters"]) == (2, 2)
    assert result["success_count"] == 50
    assert result["sealed"] == 50
    assert ledger.found() == ledger.wanted()
    assert ledger.marks() == []


def test_what_has_not_ended_long_enough_ago_is_computed_but_not_sealed(ledger: Ledger) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ledger.add(Scope.DATABASE, 9, instance=1, first_seen_at=now - timedelta(days=9))
    for days in (0, 2, 5):
        ledger.collect(1, now - timedelta(days=days), {(Scope.DATABASE, 9): days})
    aggregate()
    assert ledger.found() == ledger.wanted()
    sealed_days = [start for period, start in ledger.sealed() if period == Period.DAY]
    assert sealed_days == [(now - timedelta(days=5)).astimezone(ledger.zone).date()]
    ledger.set_zone("Asia/Shanghai", seal_after_days=0)
    aggregate()
    assert len([start for period, start in ledger.sealed() if period == Period.DAY]) == 2


def test_late_data_takes_the_seal_from_its_day_and_all_above_until_they_are_computed(
    ledger: Ledger,
) -> None:
    collect(ledger, 3)
    aggregate()
    assert len(ledger.sealed()) == 6
    before = periods(ledger)
    ledger.collect(1, START + timedelta(hours=3), {THING: 7})
    connection = ledger.connection()
    assert capacity_periods.unseal(connection) == 4  # day, week, month, quarter
    db.session.commit()
    result = aggregate()
    assert (result["days"], result["weeks"], result["months"], result["quarters"]) == (1, 1, 1, 1)
    assert result["sealed"] == 4
    assert ledger.found() == ledger.wanted()
    after = periods(ledger)
    untouched = ("day", DAY + timedelta(days=1))
    assert before[untouched] == after[untouched]
    assert before["day", DAY] != after["day", DAY]


def test_nothing_is_done_when_nothing_is_new(ledger: Ledger) -> None:
    collect(ledger, 3)
    aggregate()
    before = periods(ledger)
    result = aggregate()
    assert (result["success_count"], result["sealed"], result["unsealed"]) == (0, 0, 0)
    assert periods(ledger) == before


@pytest.fixture
def poisoned(ledger: Ledger) -> Ledger:
    """A store that refuses the states of one day."""
    ledger.connection().execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not on this day'; END $$"
    )
    ledger.connection().execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON capacity_rollups FOR EACH ROW"
        " WHEN (NEW.period = 'day' AND NEW.start_on = '2026-03-04') EXECUTE FUNCTION refuse()"
    )
    db.session.commit()
    return ledger


def test_a_day_that_fails_keeps_its_marks_and_hinders_no_other(poisoned: Ledger) -> None:
    collect(poisoned, 6)
    result = aggregate()
    assert (result["days"], result["failed_count"]) == (5, 1)
    assert result["errors"] == ["day 2026-03-04: not on this day"]
    assert poisoned.marks() == [("day", date(2026, 3, 4), 1)]
    assert ("day", date(2026, 3, 5)) in poisoned.sealed()
    assert not {("week", DAY), ("month", date(2026, 3, 1))} & poisoned.sealed()
    poisoned.connection().execute("DROP TRIGGER refuse ON capacity_rollups")
    db.session.commit()
    assert aggregate()["failed_count"] == 0
    assert poisoned.found() == poisoned.wanted()
    assert {("week", DAY), ("month", date(2026, 3, 1))} <= poisoned.sealed()


def test_two_aggregations_at_once_give_what_one_gives(app: Flask, ledger: Ledger) -> None:
    collect(ledger, 60)
    collect(ledger, 60, instance=2)
    results: list[dict[str, Any]] = []
    errors: list[Exception] = []

    def work() -> None:
        with app.app_context():
            try:
                results.append(capacity_aggregation_service.aggregate())
            except Exception as error:  # noqa: BLE001 - raised again below
                errors.append(error)
            finally:
                db.session.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(result["failed_count"] for result in results) == 0
    assert sum(result["days"] for result in results) == 60
    assert ledger.found() == ledger.wanted()
    assert ledger.marks() == []


def test_a_session_that_is_killed_costs_nothing_but_time(ledger: Ledger, store_url: str) -> None:
    collect(ledger, 90)
    stop = threading.Event()
    killed = []

    def kill() -> None:
        with psycopg.connect(store_url.replace("+psycopg", "", 1), autocommit=True) as connection:
            while not stop.wait(0.02):
                killed.extend(
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND query LIKE '%%WITH dirty%%' AND state = 'active' LIMIT 1",
                        (),
                    ).fetchall()
                )
                if len(killed) >= 2:
                    return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = aggregate()
    finally:
        stop.set()
        killer.join()
    assert ledger.found().keys() <= ledger.wanted().keys()
    while result["failed_count"] or ledger.marks():
        result = aggregate()
    assert ledger.found() == ledger.wanted()


def test_only_the_instance_that_is_dirty_is_computed_again(ledger: Ledger) -> None:
    collect(ledger, 2)
    collect(ledger, 2, instance=2)
    aggregate()
    ledger.connection().execute("UPDATE capacity_rollups SET estimated = 99")
    db.session.commit()
    ledger.collect(2, START + timedelta(hours=1), {(Scope.DATABASE, 2): 5})
    aggregate()
    left = {key for key, state in ledger.found().items() if state.estimated == 99}
    assert {key[3] for key in left if key[1] == DAY and key[0] is Period.DAY} == {1}
    assert {key[3] for key in left if key[0] is Period.DAY and key[1] != DAY} == {1, 2}


def test_a_range_is_computed_again_and_nothing_else(ledger: Ledger) -> None:
    collect(ledger, 10)
    aggregate()
    ledger.connection().execute("UPDATE capacity_rollups_day SET estimated = 99")
    db.session.commit()
    result = aggregate(from_date="2026-03-04", to_date="2026-03-06")
    assert result["days"] == 3
    right = {key[1] for key, state in ledger.found().items()
             if key[0] is Period.DAY and state.estimated == 0}  # fmt: skip
    assert right == {date(2026, 3, day) for day in (4, 5, 6)}
    result = aggregate(from_date="2026-03-08")
    assert result["days"] == 4  # up to today; there is nothing after the 11th
    result = aggregate(to_date="2026-03-03")
    assert result["days"] == 2  # from the first that there is
    assert aggregate(from_date="2026-03-07", to_date="2026-03-07")["days"] == 1
    assert ledger.found() == ledger.wanted()


def test_a_range_brings_back_what_somebody_deleted_and_removes_what_nobody_collected(
    ledger: Ledger,
) -> None:
    collect(ledger, 3)
    aggregate()
    connection = ledger.connection()
    connection.execute("DELETE FROM capacity_rollups_day WHERE start_on = %s", (DAY,))
    connection.execute(
        "UPDATE capacity_rollups_day SET object_id = 77, instance_id = 2 WHERE scope = 'database'"
        " AND start_on = %s",
        (DAY + timedelta(days=1),),
    )
    db.session.commit()
    assert ledger.found() != ledger.wanted()
    aggregate(from_date="2026-03-01", to_date="2026-03-31")
    assert ledger.found() == ledger.wanted()


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ({"from_date": "1 March"}, "'1 March' is no day"),
        ({"to_date": "2026-02-30"}, "'2026-02-30' is no day"),
        ({"from_date": "9999-12-31"}, "'9999-12-31' is no day"),
        ({"from_date": "2026-03-02", "to_date": "2026-03-01"}, "is before the first"),
    ],
)
def test_days_that_make_no_sense_are_refused(
    ledger: Ledger,  # noqa: ARG001 - a store
    days: dict[str, str],
    told: str,
) -> None:
    with pytest.raises(Refused, match=told) as refused:
        aggregate(**days)
    assert refused.value.remedy


def test_days_whose_samples_have_expired_are_refused_and_stay_as_they_are(
    ledger: Ledger,
) -> None:
    collect(ledger, 40)
    aggregate()
    drop(ledger, 29)
    found = ledger.found()
    assert found == ledger.wanted()
    result = aggregate(from_date="2026-03-02", to_date="2026-04-30")
    assert result["refused_count"] == 30
    assert result["refused_days"][0] == "2026-03-02"
    assert "cannot be computed again" in result["note"]
    assert result["days"] == 10
    assert ledger.found() == found


def test_what_comes_late_for_an_expired_day_is_added_once_and_flows_up(ledger: Ledger) -> None:
    collect(ledger, 40)
    aggregate()
    drop(ledger, 29)
    late = START + timedelta(days=4, hours=5)
    for ensure, minutes in ((True, 0), (False, 7)):
        moment = late + timedelta(minutes=minutes)
        ledger.collect(1, moment, {THING: 1}, ensure=ensure)
        result = aggregate()
        assert (result["days"], result["months"], result["quarters"]) == (1, 1, 1)
        assert ledger.found() == ledger.wanted()
        assert aggregate()["success_count"] == 0
    ledger.collect(1, late, {(Scope.INSTANCE, 1): 5})  # a part of the same collection
    aggregate()
    assert ledger.found() == ledger.wanted()
    assert ("day", late.astimezone(ledger.zone).date()) in ledger.sealed()


def test_a_day_of_which_a_part_is_dropped_is_computed_from_what_was_kept_and_what_is_left(
    ledger: Ledger,
) -> None:
    ledger.add(Scope.RELATION, 5, instance=1, database=1, first_seen_at=START)
    relation = (Scope.RELATION, 5)
    for hours in range(0, 96, 3):
        ledger.collect(1, START + timedelta(hours=hours), {relation: 1000 + hours})
    aggregate()
    begun = datetime(2026, 3, 3, tzinfo=UTC)
    assert ledger.drop_partition("relation_sizes", begun)  # 3 March, 08:00 to 4 March, 08:00
    rows = ledger.connection().execute("SELECT start_on, whole FROM expired_samples")
    assert dict(rows.fetchall()) == {date(2026, 3, 3): False, date(2026, 3, 4): False}
    db.session.rollback()
    for late in (begun + timedelta(hours=20, minutes=5), begun + timedelta(hours=30, minutes=5)):
        assert late.astimezone(ledger.zone).date() == date(2026, 3, 4)
        ledger.collect(1, late, {relation: 7})
        aggregate()
        assert ledger.found() == ledger.wanted()
    assert ledger.correct(*relation, START + timedelta(hours=48), 1)  # 4 March, 12:00, is there
    aggregate()
    assert ledger.found() == ledger.wanted()
    assert ledger.drop_partition("relation_sizes", begun + timedelta(days=1))
    rows = ledger.connection().execute("SELECT start_on, whole FROM expired_samples")
    assert (date(2026, 3, 4), False) in rows.fetchall()  # the late one lies where 3 March was
    db.session.rollback()
    assert ledger.drop_partition("relation_sizes", begun)
    rows = ledger.connection().execute("SELECT start_on, whole FROM expired_samples")
    assert (date(2026, 3, 4), True) in rows.fetchall()
    db.session.rollback()
    ledger.collect(1, begun + timedelta(hours=21), {relation: 9})
    aggregate()
    assert ledger.found() == ledger.wanted()


def test_what_comes_late_when_even_the_states_of_days_are_gone_reaches_week_and_month(
    ledger: Ledger,
) -> None:
    collect(ledger, 60)
    aggregate()
    drop(ledger, 60)
    assert ledger.drop_days(date(2026, 3, 15))
    assert ledger.found() == ledger.wanted()
    moment = START + timedelta(days=27, hours=5)  # 29 March
    ledger.collect(1, moment, {THING: 1})
    aggregate()
    ledger.collect(1, START + timedelta(days=31), {(Scope.INSTANCE, 1): 8})  # in the same week
    aggregate()
    assert ledger.found() == ledger.wanted()
    assert ledger.marks() == []


def test_another_zone_moves_the_days_whose_samples_are_all_there(ledger: Ledger) -> None:
    for hours in range(0, 24 * 12, 5):
        ledger.collect(1, START + timedelta(hours=hours), {THING: hours})
    aggregate()
    ledger.set_zone("America/Santiago")
    result = aggregate()
    assert result["other_zone_days"] == 0
    assert ledger.found() == ledger.wanted()
    assert aggregate()["success_count"] == 0


def test_another_zone_leaves_days_alone_whose_samples_have_expired(ledger: Ledger) -> None:
    for hours in range(0, 24 * 40, 5):
        ledger.collect(1, START + timedelta(hours=hours), {THING: hours})
    aggregate()
    drop(ledger, 29)
    expired = {key[1] for key, value in periods(ledger).items() if value[2] is not None}
    before = {key: state for key, state in ledger.found().items() if key[0] is Period.DAY}
    ledger.set_zone("UTC")
    result = aggregate()
    assert result["other_zone_days"] >= len(expired)
    after = ledger.found()
    assert {day: after[key] for key in before if (day := key[1]) in expired} == {
        day: before[key] for key in before if (day := key[1]) in expired
    }
    moved = date(2026, 4, 5)
    wanted = ledger.wanted()
    key = (Period.DAY, moved, *THING)
    assert after[key] == wanted[key] != before[key]
    assert aggregate()["success_count"] == 0
