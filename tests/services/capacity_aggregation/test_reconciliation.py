"""Whatever happens in whatever order: every period says to the byte what all samples say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import mock

from flask import Flask
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.constants.capacity import Scope
from app.constants.partitions import POLICIES
from app.models import db
from app.repositories import capacity_periods
from app.repositories.partitions import bounds_of
from app.services.capacity.growth_service import growth_service
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.utils.periods import previous_start
from tests.services.capacity_aggregation.samples import TABLES, Ledger

PLACES = [
    ("UTC", date(2024, 2, 27)),
    ("Asia/Shanghai", date(2025, 3, 29)),  # the end of a quarter
    ("Asia/Shanghai", date(2020, 12, 30)),  # ISO week 53 goes on in the new year
    ("Europe/Berlin", date(2025, 10, 24)),  # a day of 25 hours
    ("Europe/Berlin", date(2025, 3, 28)),  # one of 23
    ("America/Santiago", date(2025, 9, 5)),  # a day without a midnight
    ("America/Santiago", date(2025, 4, 4)),  # one that ends an hour later
    ("America/Havana", date(2025, 11, 1)),  # midnight comes twice
    ("Asia/Shanghai", date(2024, 12, 28)),  # ISO week 1 begins in the old year
]
HOURS = st.integers(0, 24 * 9)
BIG = 2**62
SIZES = st.one_of(st.integers(0, 1000), st.integers(BIG, BIG + 1000), st.just(2**63 - 1))


NAMES = {
    Scope.INSTANCE: "server",
    Scope.DATABASE: "database",
    Scope.RELATION: "table",
    Scope.STORAGE: "storage",
}


class Interrupted(BaseException):
    """The process ends in the middle of something."""


class Reconciliation(RuleBasedStateMachine):
    def __init__(self, app: Flask) -> None:
        super().__init__()
        self.ledger = Ledger(app)
        self.began = datetime(2025, 1, 1, tzinfo=UTC)
        self.clean = True

    @initialize(
        place=st.sampled_from(PLACES),
        seal_after_days=st.sampled_from([0, 3]),
        lives=st.lists(
            st.tuples(st.booleans(), HOURS, st.none() | HOURS), min_size=10, max_size=10
        ),
    )
    def begin(
        self,
        place: tuple[str, date],
        seal_after_days: int,
        lives: list[tuple[bool, int, int | None]],
    ) -> None:
        zone, day = place
        self.ledger.begin(zone, seal_after_days)
        self.began = datetime(day.year, day.month, day.day, tzinfo=UTC)
        numbers = iter(lives)

        def life() -> dict[str, Any]:
            always, begins, lasts = next(numbers)
            if always:
                return {"first_seen_at": self._moment(-24)}
            return {
                "first_seen_at": self._moment(begins),
                "closed_at": None if lasts is None else self._moment(begins + lasts),
            }

        for instance in (1, 2):
            self.ledger.add(Scope.INSTANCE, instance)
            self.ledger.add(Scope.STORAGE, instance, instance=instance, **life())
            self.ledger.add(Scope.DATABASE, instance, instance=instance, **life())
            for number in (1, 2, 3):
                self.ledger.add(
                    Scope.RELATION,
                    instance * 10 + number,
                    instance=instance,
                    database=instance,
                    **life(),
                )

    def _moment(self, hours: int) -> datetime:
        return self.began + timedelta(hours=hours)

    @rule(
        instance=st.integers(1, 2),
        hours=HOURS,
        sizes=st.lists(st.none() | SIZES, min_size=6, max_size=6),
        guessed=st.frozensets(st.integers(11, 23)),
        ensure=st.booleans(),
    )
    def collect(
        self,
        instance: int,
        hours: int,
        sizes: list[int | None],
        guessed: frozenset[int],
        ensure: bool,
    ) -> None:
        """Also more of a collection that was written in part, and one of which nothing came."""
        self.clean = False
        things = [
            (Scope.INSTANCE, instance),
            (Scope.STORAGE, instance),
            (Scope.DATABASE, instance),
            *((Scope.RELATION, instance * 10 + number) for number in (1, 2, 3)),
        ]
        found = dict(zip(things, sizes, strict=True))
        self.ledger.collect(
            instance,
            self._moment(hours),
            {
                thing: size
                for thing, size in found.items()
                if size is not None or thing[0] is Scope.INSTANCE
            },
            estimated=guessed,
            ensure=ensure,
        )

    @rule(instance=st.integers(1, 2), every=st.sampled_from([3, 8, 24]), size=SIZES)
    def collect_for_days(self, instance: int, every: int, size: int) -> None:
        """A schedule that runs by itself, over all the days."""
        self.clean = False
        for hours in range(0, 24 * 9, every * 2):
            moment = self._moment(hours) + timedelta(minutes=instance)
            found = {(Scope.INSTANCE, instance), (Scope.RELATION, instance * 10 + 1)}
            self.ledger.collect(instance, moment, dict.fromkeys(found, max(size - hours, 0)))

    @precondition(lambda self: self.ledger.samples)
    @rule(data=st.data(), size=st.none() | SIZES)
    def correct(self, data: st.DataObject, size: int | None) -> None:
        scope, thing, moment = data.draw(st.sampled_from(sorted(self.ledger.samples)))
        if self.ledger.correct(scope, thing, moment, size):
            self.clean = False

    @rule()
    def aggregate(self) -> None:
        result = capacity_aggregation_service.aggregate()
        assert result["failed_count"] == 0, result
        self.clean = True
        self._compare()

    @rule(from_day=st.integers(0, 9), days=st.integers(0, 9))
    def aggregate_a_range_again(self, from_day: int, days: int) -> None:
        first = (self._moment(from_day * 24)).date()
        result = capacity_aggregation_service.aggregate(
            first.isoformat(), (first + timedelta(days=days)).isoformat()
        )
        assert result["failed_count"] == 0, result
        self.clean = True
        self._compare()

    @rule(after=st.integers(0, 6))
    def aggregate_but_be_interrupted(self, after: int) -> None:
        left = [after]
        record = capacity_periods.record

        def interrupted(*arguments: Any) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted
            return record(*arguments)

        with mock.patch.object(capacity_periods, "record", interrupted):
            try:
                capacity_aggregation_service.aggregate()
            except Interrupted:
                db.session.rollback()
            else:
                self.clean = True

    @rule(table=st.sampled_from(TABLES), hours=HOURS)
    def drop_a_partition(self, table: str, hours: int) -> None:
        if self.ledger.drop_partition(table, self._moment(hours)):
            note(f"dropped {table} of {self._moment(hours)}")
        if self.clean:
            self._compare()

    @rule(table=st.sampled_from(TABLES))
    def drop_many_partitions(self, table: str) -> None:
        for day in range(10):
            if self.ledger.drop_partition(table, self._moment(day * 24)):
                note(f"dropped {table} of {self._moment(day * 24)}")
        if self.clean:
            self._compare()

    @rule(
        table=st.sampled_from(TABLES),
        day=st.integers(0, 8),
        instance=st.integers(1, 2),
        late=st.lists(st.integers(-30, 30), min_size=1, max_size=3),
        size=SIZES,
    )
    def drop_a_part_of_a_day_and_let_samples_come_late_for_it(
        self, table: str, day: int, instance: int, late: list[int], size: int
    ) -> None:
        """The end of a partition lies within a day, in every zone but UTC."""
        self.collect_for_days(instance, 3, size)
        self.aggregate()
        if not self.ledger.drop_partition(table, self._moment(day * 24)):
            return
        end = bounds_of(POLICIES[table].step, self._moment(day * 24))[1]
        for hours in late:
            moment = end + timedelta(hours=hours, minutes=10)
            things = [(Scope.INSTANCE, instance), (Scope.RELATION, instance * 10 + 1)]
            self.ledger.collect(instance, moment, dict.fromkeys(things, size))
            self.aggregate()

    @rule()
    def drop_everything_old(self) -> None:
        for table in TABLES:
            for day in range(10):
                self.ledger.drop_partition(table, self._moment(day * 24))
        if self.ledger.drop_days(self.began.date()):
            note("dropped the states of a month's days")
        if self.clean:
            self._compare()

    def teardown(self) -> None:
        if self.ledger.things:
            result = capacity_aggregation_service.aggregate()
            assert result["failed_count"] == 0, result
            assert self.ledger.marks() == []
            self._compare()
            again = capacity_aggregation_service.aggregate()
            assert again["success_count"] == 0
            self._compare()
            self._compare_growth()

    def _compare_growth(self) -> None:
        """It is unknown exactly where a size, or the period before, is."""
        wanted = self.ledger.wanted()
        for period, start in {(key[0], key[1]) for key in wanted}:
            before = previous_start(period, start)
            for scope in Scope:
                listed = growth_service.grown_most(scope, period, at=start, limit=None)
                found = {row.name: row.growth for row in listed.rows}
                here = {
                    key[3]: state
                    for key, state in wanted.items()
                    if key[:3] == (period, start, scope)
                }
                assert len(found) == len(here)
                for thing, state in here.items():
                    base = wanted.get((period, before, scope, thing))
                    was = base.last_bytes if base else None
                    grown = (
                        None if was is None or state.last_bytes is None else state.last_bytes - was
                    )
                    growth = found[NAMES[scope] + str(thing)]
                    assert growth.growth_bytes == grown
                    assert growth.previous_bytes == was
                    assert (growth.growth_percent is None) == (grown is None or not was)

    def _compare(self) -> None:
        wanted = self.ledger.wanted()
        found = self.ledger.found()
        differences = {
            key: (found.get(key), wanted.get(key))
            for key in sorted({*found, *wanted}, key=str)
            if found.get(key) != wanted.get(key)
        }
        assert differences == {}


def test_every_period_says_to_the_byte_what_all_its_samples_say(app: Flask) -> None:
    class OnThisStore(Reconciliation):
        def __init__(self) -> None:
            super().__init__(app)

    run_state_machine_as_test(
        OnThisStore,
        settings=settings(
            max_examples=20,
            stateful_step_count=16,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes here
            suppress_health_check=list(HealthCheck),
        ),
    )
