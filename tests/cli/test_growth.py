from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.constants.capacity import Scope
from app.models import db
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from tests.cli.conftest import Whalefall
from tests.services.capacity_aggregation.samples import Ledger

MIDDAY = datetime(2026, 3, 2, 4, tzinfo=UTC)
"""Noon of a Monday in Shanghai."""
MIB = 1024 * 1024


@pytest.fixture
def ledger(app: Flask) -> Ledger:
    """Two weeks of one server: shop grows by 1 MiB a day, archive shrinks, news came late."""
    ledger = Ledger(app)
    ledger.begin("Asia/Shanghai")
    ledger.add(Scope.INSTANCE, 1)
    ledger.add(Scope.STORAGE, 5, instance=1, first_seen_at=MIDDAY)
    ledger.add(Scope.DATABASE, 1, instance=1, first_seen_at=MIDDAY)
    ledger.add(Scope.DATABASE, 2, instance=1, first_seen_at=MIDDAY)
    ledger.add(Scope.DATABASE, 3, instance=1, first_seen_at=MIDDAY + timedelta(days=13))
    ledger.add(Scope.RELATION, 7, instance=1, database=1, first_seen_at=MIDDAY)
    for day in range(14):
        found = {
            (Scope.INSTANCE, 1): (300 + day) * MIB,
            (Scope.STORAGE, 5): 400 * MIB,
            (Scope.DATABASE, 1): (100 + day) * MIB,
            (Scope.DATABASE, 2): (200 - day) * MIB,
            (Scope.RELATION, 7): (50 + day) * MIB,
        }
        if day == 13:
            found[Scope.DATABASE, 3] = 5 * MIB
        if day == 6:
            del found[Scope.DATABASE, 2]
        ledger.collect(1, MIDDAY + timedelta(days=day), dict(found))
    db.session.close()
    return ledger


@pytest.mark.usefixtures("ledger")
class TestGrowth:
    @pytest.fixture(autouse=True)
    def _summed_up(self, ledger: Ledger) -> None:  # noqa: ARG002 - first the samples
        capacity_aggregation_service.aggregate()

    def test_it_lists_what_grew_most_first_and_what_is_unknown_last(
        self, whalefall: Whalefall
    ) -> None:
        said = whalefall("capacity", "growth")
        assert said.code == 0, said.err
        assert said.widest <= 80
        assert "day 2026-03-15, sealed" in said.out
        lines = [line.split() for line in said.out.splitlines()[2:]]
        assert [line[1] for line in lines] == ["database1", "database2", "database3"]
        assert lines[0][2:] == ["113.0", "MiB", "+1.0", "MiB", "+0.9", "%", "1/1"]
        assert lines[1][4:6] == ["-1.0", "MiB"]
        assert lines[2][2:] == ["5.0", "MiB", "unknown", "–", "1/1"]

    def test_weeks_end_on_sunday_and_grow_by_their_last_sizes(self, whalefall: Whalefall) -> None:
        said = whalefall("capacity", "growth", "--period", "week", "--json")
        assert said.json["start_on"] == "2026-03-09"
        assert said.json["last_day"] == "2026-03-15"
        grown = {row["name"]: row["growth"] for row in said.json["rows"]}
        assert grown["database1"]["growth_bytes"] == 7 * MIB
        assert grown["database1"]["growth_percent"] == pytest.approx(700 / 106)
        assert grown["database2"]["growth_bytes"] == (187 - 195) * MIB  # 6 days were seen of 7
        assert grown["database3"]["growth_bytes"] is None
        assert grown["database1"]["average_bytes"] == 110 * MIB

    def test_a_period_without_a_size_is_unknown_and_so_is_the_growth_after_it(
        self, whalefall: Whalefall
    ) -> None:
        said = whalefall(
            "capacity", "growth", "--instance", "server1", "--database", "database2", "--json"
        )
        days = {one["start_on"]: one for one in said.json["periods"]}
        assert len(days) == 14
        assert days["2026-03-08"]["last_bytes"] is None
        assert (days["2026-03-08"]["seen"], days["2026-03-08"]["expected"]) == (0, 1)
        assert days["2026-03-08"]["growth_bytes"] is None
        assert days["2026-03-09"]["growth_bytes"] is None
        assert days["2026-03-10"]["growth_bytes"] == -MIB
        assert days["2026-03-02"]["growth_bytes"] is None

    def test_it_shows_the_last_periods_of_one_object(self, whalefall: Whalefall) -> None:
        for which, title, first in (
            (["--by", "instance"], "instance server1", "313.0"),
            (["--storage", "storage5"], "storage storage5 in server1", "400.0"),
            (
                ["--database", "database1", "--relation", "public.table7"],
                "relation public.table7 in database1 in server1",
                "63.0",
            ),
            (
                ["--database", "database1", "--relation", "table7"],
                "relation table7 in database1 in server1",
                "63.0",
            ),
        ):
            said = whalefall("capacity", "growth", "--instance", "server1", *which, "--limit", "3")
            assert said.code == 0, said.err
            lines = said.out.splitlines()
            assert lines[0] == title
            days = ["2026-03-15", "2026-03-14", "2026-03-13"]
            assert [line.split()[0] for line in lines[2:]] == days
            assert lines[2].split()[1] == first
            assert "unknown" not in lines[4]  # its base is there, though it is not shown

    def test_relations_of_one_database_can_be_listed(self, whalefall: Whalefall) -> None:
        said = whalefall(
            "capacity", "growth", "--by", "relation", "--instance", "server1",
            "--database", "database1", "--period", "month", "--at", "2026-03-20", "--json",
        )  # fmt: skip
        assert [(row["schema"], row["name"]) for row in said.json["rows"]] == [("public", "table7")]
        assert said.json["rows"][0]["growth"]["seen"] == 14
        other = whalefall(
            "capacity", "growth", "--by", "relation", "--instance", "server1",
            "--database", "database2", "--json",
        )  # fmt: skip
        assert other.json["rows"] == []

    def test_what_makes_no_sense_or_does_not_exist_is_named(self, whalefall: Whalefall) -> None:
        server = ("--instance", "server1")
        for code, told, arguments in (
            (2, "Name the server, too", ["--database", "x"]),
            (2, "Name the relation's database", [*server, "--relation", "x"]),
            (2, "is no day", ["--at", "2026-02-30"]),
            (1, "there is no instance named nowhere", ["--instance", "nowhere"]),
            (1, "knows no database none", [*server, "--database", "none"]),
            (
                1,
                "knows no relation none",
                [*server, "--database", "database1", "--relation", "none"],
            ),
            (1, "knows no tablespace or volume none", [*server, "--storage", "none"]),
        ):
            said = whalefall("capacity", "growth", *arguments)
            assert said.code == code
            assert told in said.told


def test_a_range_is_computed_again_and_what_was_wrong_is_right(
    ledger: Ledger, whalefall: Whalefall
) -> None:
    said = whalefall("aggregate")
    assert said.code == 0, said.err
    assert "Computed: 14 days, 2 weeks, 1 months, 1 quarters" in said.told
    connection = ledger.connection()
    connection.execute("UPDATE capacity_rollups SET last_bytes = 1 WHERE scope = 'database'")
    db.session.commit()
    said = whalefall("aggregate", "--from", "2026-03-02", "--to", "2026-03-15", "--json")
    assert said.code == 0, said.err
    assert said.json["result"]["days"] == 14
    assert said.json["parameters"] == {"from_date": "2026-03-02", "to_date": "2026-03-15"}
    assert ledger.found() == ledger.wanted()


def test_days_that_make_no_sense_are_refused_before_there_is_a_run(whalefall: Whalefall) -> None:
    for arguments, told in (
        (["--from", "yesterday"], "--from: 'yesterday' is no day Write the day as 2026-01-31"),
        (["--to", "2026-02-30"], "--to: '2026-02-30' is no day"),
        (
            ["--from", "2026-03-02", "--to", "2026-03-01"],
            "the last day, 2026-03-01, is before the first, 2026-03-02",
        ),
    ):
        said = whalefall("aggregate", *arguments)
        assert said.code == 1
        assert told in said.told
    assert whalefall("runs", "list", "--json").json["runs"] == []


def test_without_waiting_it_is_only_asked_for(whalefall: Whalefall) -> None:
    said = whalefall("aggregate", "--no-wait", "--json")
    assert said.code == 0
    assert said.json["created"] is True


def test_before_anything_was_summed_up_it_says_what_to_do(whalefall: Whalefall) -> None:
    said = whalefall("capacity", "growth")
    assert said.code == 0
    assert "whalefall aggregate" in said.told
