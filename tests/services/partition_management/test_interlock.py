"""No sequence of jobs loses samples that are in no sealed aggregate, whatever the clock does."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.constants.capacity import Scope
from app.models import db
from app.repositories.partitions import Patience
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.services.partition_management.partition_management_service import (
    PartitionManagementService,
)
from app.utils.periods import day_of
from tests.services.capacity_aggregation.samples import TABLES, Ledger

MANAGED = (*TABLES, "capacity_rollups_day")
BEGAN = datetime(2024, 3, 29, tzinfo=UTC)
"""Months, a quarter and, in Berlin, the clocks change in the days that follow."""
DAYS = 6


COLLECT = st.tuples(
    st.just("collect"), st.integers(0, DAYS * 24), st.integers(1, 2**40), st.booleans()
)
OTHER = st.one_of(
    COLLECT,
    st.just(("aggregate",)),
    st.just(("unseal",)),
    st.tuples(st.just("manage"), st.sampled_from([-400, 110, 120, 450, 900, 4000])),
)
"""What happens, one after the other; the days by which the clock is away when it is managed."""


class Jobs:
    """Collections come in any order, aggregation runs or not, partitions are always managed."""

    def __init__(self, app: Flask, zone: str) -> None:
        self.ledger = Ledger(app)
        self.ledger.begin(zone)
        self.service = PartitionManagementService()
        self.service.patience = Patience(first_ms=500, further_ms=250, pauses_seconds=())
        self.dropped = self.refused = 0
        self.ledger.add(Scope.INSTANCE, 1)
        self.ledger.add(Scope.DATABASE, 1, first_seen_at=BEGAN - timedelta(days=9))
        self.ledger.add(Scope.RELATION, 1, database=1, first_seen_at=BEGAN - timedelta(days=9))

    def collect(self, hours: int, size: int, ensure: bool) -> None:
        moment = BEGAN + timedelta(hours=hours)
        sizes: dict[tuple[Scope, int], int | None] = {
            (Scope.INSTANCE, 1): size,
            (Scope.DATABASE, 1): size,
            (Scope.RELATION, 1): size,
        }
        self.ledger.collect(1, moment, sizes, ensure=ensure)

    def aggregate(self) -> None:
        assert capacity_aggregation_service.aggregate()["failed_count"] == 0

    def unseal(self) -> None:
        self.ledger.connection().execute(
            "UPDATE capacity_periods SET sealed_at = NULL WHERE period = 'day' AND start_on ="
            " (SELECT max(start_on) FROM capacity_periods WHERE period = 'day')"
        )
        db.session.commit()

    def manage(self, jump_days: int) -> None:
        before = self._unsealed()
        samples = self._count()
        report = self.service.manage_as_of(BEGAN + timedelta(days=jump_days), tables=MANAGED)
        assert report.failed == []
        self.dropped += samples - self._count()
        self.refused += len(report.refused)
        assert self._unsealed() == before

    def _count(self) -> int:
        counts = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in TABLES)
        rows = self.ledger.connection().execute(counts).fetchall()
        db.session.rollback()
        return sum(count for (count,) in rows)

    def _unsealed(self) -> Counter[tuple[str, date]]:
        """Count the samples of each table and day that is not sealed, or is dirty."""
        sealed = {day for period, day in self.ledger.sealed() if period == "day"}
        dirty = {day for period, day, _ in self.ledger.marks() if period == "day"}
        found: Counter[tuple[str, date]] = Counter()
        for table in TABLES:
            rows = self.ledger.connection().execute(f"SELECT collected_at FROM {table}").fetchall()
            for (moment,) in rows:
                day = day_of(moment, self.ledger.zone)
                if day not in sealed or day in dirty:
                    found[table, day] += 1
        db.session.rollback()
        return found

    def assert_nothing_is_lost(self) -> None:
        """Everything that was ever collected is in the aggregates, to the byte."""
        capacity_aggregation_service.aggregate()
        capacity_aggregation_service.aggregate()
        wanted, found = self.ledger.wanted(), self.ledger.found()
        days = {key for key in wanted if key[0] == "day" and key not in found}
        gone = {key for key in days if self._dropped(key[1])}
        assert {key: wanted[key] for key in wanted.keys() - gone} == found

    def _dropped(self, day: date) -> bool:
        """Tell whether the states of a day were dropped with their month."""
        row: Any = (
            self.ledger.connection()
            .execute(
                "SELECT count(*) FROM expired_samples WHERE start_on = %s"
                " AND table_name = 'capacity_rollups_day'",
                (day,),
            )
            .fetchone()
        )
        db.session.rollback()
        return bool(row[0])


def test_no_sequence_of_jobs_loses_samples_that_are_not_sealed(app: Flask) -> None:
    dropped = refused = 0

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/Los_Angeles"]),
        st.lists(COLLECT, min_size=2, max_size=3),
        st.lists(OTHER, min_size=8, max_size=12),
    )
    def in_any_order(zone: str, first: list[Any], then: list[Any]) -> None:
        nonlocal dropped, refused
        jobs = Jobs(app, zone)
        for name, *arguments in (*first, *then):
            getattr(jobs, name)(*arguments)
        jobs.assert_nothing_is_lost()
        dropped += jobs.dropped
        refused += jobs.refused

    in_any_order()
    print(f"\n{dropped} samples were dropped, {refused} partitions refused")
    assert dropped
    assert refused


def test_an_aggregation_that_stood_still_for_a_month_loses_nothing(app: Flask) -> None:
    ledger = Ledger(app)
    ledger.begin("Asia/Shanghai")
    ledger.add(Scope.INSTANCE, 1)
    service = PartitionManagementService()
    for day in range(32):
        ledger.collect(1, BEGAN + timedelta(days=day), {(Scope.INSTANCE, 1): 1000 + day})
        if day % 8 == 0:
            service.manage_as_of(BEGAN + timedelta(days=day + 900), tables=TABLES)
    count = "SELECT count(*) FROM instance_sizes"
    assert ledger.connection().execute(count).fetchone() == (32,)
    db.session.rollback()
    capacity_aggregation_service.aggregate()
    report = service.manage_as_of(BEGAN + timedelta(days=900), tables=TABLES)
    assert report.refused == []
    assert ledger.connection().execute(count).fetchone() == (0,)
    db.session.rollback()
    capacity_aggregation_service.aggregate()
    assert ledger.found() == ledger.wanted()
