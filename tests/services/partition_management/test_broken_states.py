"""Whatever state the tables are in, they end healthy, or it is said what is left and why."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from flask import current_app

from app.constants.partitions import POLICIES
from app.models import PartitionHealth, db
from app.repositories.partitions import Patience
from app.services.partition_management.partition_management_service import (
    AlreadyManaging,
    PartitionManagementService,
)
from tests.services.partition_management.conftest import (
    NOW,
    Ask,
    assert_healthy,
    drop_all,
    observed,
    partitions,
    tables_of,
    where,
)


def test_a_store_without_any_partition_gets_all_of_them(
    service: PartitionManagementService, ask: Ask
) -> None:
    for table in POLICIES:
        drop_all(ask, table)
    report = service.manage_as_of(NOW)
    assert (report.success_count, report.failed_count) == (len(POLICIES), 0)
    for table, policy in POLICIES.items():
        assert len(partitions(ask, table)) == policy.ahead + 2, table
    assert report.alarms == []
    assert_healthy(service, NOW)


def test_months_that_are_missing_in_the_middle_are_made_again(
    service: PartitionManagementService, ask: Ask
) -> None:
    for month in (3, 6):
        ask(
            f"CREATE TABLE account_changes_2026_0{month} PARTITION OF account_changes"
            f" FOR VALUES FROM ('2026-0{month}-01 00:00+00') TO ('2026-0{month + 1}-01 00:00+00')"
        )
    ask("DROP TABLE account_changes_2026_12")
    report = service.manage_as_of(NOW, tables=["account_changes"])
    assert {one.partition: one.why for one in report.created} == {
        "account_changes_2026_12": "ahead",
        **{f"account_changes_2026_{month:02}": "gap" for month in (4, 5, 7, 8, 9, 10)},
    }
    assert partitions(ask, "account_changes")[:-1] == [
        *[f"account_changes_2026_{month:02}" for month in range(3, 13)],
        "account_changes_2027_01",
        "account_changes_2027_02",
    ]
    assert_healthy(service, NOW, ["account_changes"])


def test_a_gap_that_is_older_than_what_is_kept_stays_one(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask(
        "CREATE TABLE log_entries_info_2026_10_01 PARTITION OF log_entries_info"
        " FOR VALUES FROM ('2026-10-01 00:00+00') TO ('2026-10-02 00:00+00')"
    )
    report = service.manage_as_of(NOW, dry_run=True, tables=["log_entries_info"])
    made = [one for one in report.created if one.table == "log_entries_info"]
    assert {one.lower for one in made if one.why == "gap"} == {
        datetime(2026, 11, day, tzinfo=UTC) for day in range(10, 24)
    }


def test_a_stray_row_far_away_gets_its_partition_and_no_gap_is_filled_up_to_it(
    service: PartitionManagementService, ask: Ask
) -> None:
    observed(ask, "1970-01-01T00:00Z", "2099-12-31T23:59:59.999999Z")
    before = set(partitions(ask, "scope_observations"))
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    # what is older than 400 days expires in the same management
    assert [one.partition for one in report.dropped] == ["scope_observations_1970_01"]
    assert set(partitions(ask, "scope_observations")) - before == {"scope_observations_2099_12"}
    assert_healthy(service, NOW, ["scope_observations"])


def test_rows_in_the_default_partition_move_to_the_partition_of_their_time(
    service: PartitionManagementService, ask: Ask
) -> None:
    observed(
        ask,
        "2026-06-30T23:59:59.999999Z",
        "2026-07-01T00:00:00Z",
        "2026-07-31T23:59:59.999999Z",
        "2026-08-01T00:00:00Z",
        "2030-02-28T12:00:00Z",
    )
    planned = service.manage_as_of(NOW, dry_run=True, tables=["scope_observations"])
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    drained = [(one.partition, one.rows_moved) for one in report.drained]
    assert drained == [(one.partition, one.rows_moved) for one in planned.drained]
    assert sorted(drained) == [
        ("scope_observations_2026_06", 1),
        ("scope_observations_2026_07", 2),
        ("scope_observations_2026_08", 1),
        ("scope_observations_2030_02", 1),
    ]
    assert where(ask, "scope_observations", "observed_at") == [
        "scope_observations_2026_06",
        "scope_observations_2026_07",
        "scope_observations_2026_07",
        "scope_observations_2026_08",
        "scope_observations_2030_02",
    ]
    assert_healthy(service, NOW, ["scope_observations"])


def test_days_move_by_their_date_whatever_the_zone_of_the_session(
    service: PartitionManagementService, ask: Ask
) -> None:
    for day in ("2026-02-28", "2026-03-01", "2025-12-31"):
        ask(
            "INSERT INTO capacity_rollups (start_on, instance_id, object_id, period, scope, seen,"
            " expected, estimated) VALUES (%s, 1, 1, 'day', 'instance', 0, 1, 0)",
            day,
        )
    name = ask("SELECT current_database()")[0][0]
    ask(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    ask(f"ALTER DATABASE {name} SET datestyle = 'ISO, DMY'")
    db.engine.dispose()
    service.manage_as_of(NOW, tables=["capacity_rollups_day"])
    assert where(ask, "capacity_rollups_day", "start_on") == [
        "capacity_rollups_day_2025_12",
        "capacity_rollups_day_2026_02",
        "capacity_rollups_day_2026_03",
    ]
    assert_healthy(service, NOW, ["capacity_rollups_day"])


def test_very_many_rows_in_the_default_partition_move(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask(
        "INSERT INTO relation_sizes (collected_at, total_bytes, database_id, relation_id)"
        " SELECT timestamptz '2026-11-20 00:00+00' + i % 3 * interval '1 day', i, 1, i"
        "   FROM generate_series(1, 250000) AS i"
    )
    started = time.monotonic()
    report = service.manage_as_of(NOW, tables=["relation_sizes"])
    print(f"\n250,000 rows into three partitions: {time.monotonic() - started:.1f} s")
    assert sum(one.rows_moved for one in report.drained) == 250_000
    assert ask("SELECT count(*) FROM relation_sizes") == [(250_000,)]
    assert ask("SELECT count(*) FROM relation_sizes_default") == [(0,)]


def test_rows_of_no_calendar_are_told_and_stay(
    service: PartitionManagementService, ask: Ask
) -> None:
    observed(ask, "infinity", "-infinity", "2026-07-01T00:00:00Z")
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    (failed,) = report.failed
    assert failed.partition == "scope_observations_default"
    assert failed.reason.startswith("2 rows have a time for which no partition can be made")
    assert [one.partition for one in report.drained] == ["scope_observations_2026_07"]
    health = db.session.get_one(PartitionHealth, "scope_observations")
    assert health.default_rows == 2
    assert health.problem is not None


def test_a_table_that_somebody_has_locked_waits_and_the_others_do_not(
    service: PartitionManagementService, ask: Ask, conninfo: str
) -> None:
    for table in POLICIES:
        drop_all(ask, table)
    with psycopg.connect(conninfo, application_name="a long report") as other:
        other.execute("LOCK TABLE relation_sizes IN ACCESS SHARE MODE")
        other.execute("LOCK TABLE scope_observations IN ACCESS EXCLUSIVE MODE")
        report = service.manage_as_of(NOW)
        assert tables_of(report.failed) == {"scope_observations"}
        reasons = [one.reason for one in report.failed if one.table == "scope_observations"]
        assert any("a long report" in reason for reason in reasons)
        assert report.success_count == len(POLICIES) - 1
        assert {alarm.table for alarm in report.alarms} == {"scope_observations"}
        assert db.session.get_one(PartitionHealth, "log_entries_info").problem is None
        db.session.rollback()
        for table in set(POLICIES) - {"scope_observations"}:
            assert len(partitions(ask, table)) == POLICIES[table].ahead + 2
    report = service.manage_as_of(NOW)
    assert report.failed == []
    assert_healthy(service, NOW)


def test_whoever_reads_the_default_partition_for_long_only_delays_his_own_table(
    service: PartitionManagementService, conninfo: str
) -> None:
    later = NOW + timedelta(days=3)
    with psycopg.connect(conninfo) as reader:
        reader.execute("SELECT count(*) FROM log_entries_info")
        started = time.monotonic()
        report = service.manage_as_of(later, tables=["log_entries_info", "log_entries_error"])
        took = time.monotonic() - started
        assert tables_of(report.failed) == {"log_entries_info"}
        assert "3 more" not in (report.problem_of("log_entries_info") or "")
        assert report.runway_days["log_entries_info"] >= 10
        assert report.alarms == []
    assert took < 20
    assert (
        service.manage_as_of(later, tables=["log_entries_info", "log_entries_error"]).failed == []
    )
    assert_healthy(service, later, ["log_entries_info", "log_entries_error"])


@pytest.mark.parametrize(
    "now",
    [
        datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2027, 1, 31, 16, 30, tzinfo=UTC),  # 1 February in Asia/Shanghai
        datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
        datetime(2027, 3, 28, 1, 0, tzinfo=UTC),  # clocks are put forward in Europe
        datetime(2027, 10, 31, 1, 0, tzinfo=UTC),  # and back
        datetime(2027, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2028, 1, 1, 0, 0, tzinfo=UTC),
    ],
    ids=lambda now: now.strftime("%d %B %Y"),
)
def test_at_every_edge_of_the_calendar_there_is_room_ahead(
    service: PartitionManagementService, ask: Ask, now: datetime
) -> None:
    least = {"relation_sizes": 14, "scope_observations": 88, "capacity_rollups_week": 365}
    drop_all(ask, "relation_sizes")  # else weeks of gaps would be filled
    report = service.manage_as_of(now, tables=list(least))
    assert report.failed == []
    assert_healthy(service, now, list(least))
    assert all(report.runway_days[table] >= days for table, days in least.items())
    observed(ask, now.isoformat(), (now + timedelta(days=70)).isoformat())
    assert ask("SELECT count(*) FROM ONLY scope_observations_default") == [(0,)]


def test_a_clock_that_jumps_back_and_forth_loses_nothing_and_leaves_room(
    service: PartitionManagementService, ask: Ask
) -> None:
    observed(ask, NOW.isoformat())
    for jump in (-900, 0, 4000, 0):
        now = NOW + timedelta(days=jump)
        ask(
            "INSERT INTO account_changes (occurred_at, instance_id, kind, raised, diff)"
            " VALUES (%s, 1, 'x', false, '{}')",
            now,
        )
        report = service.manage_as_of(now, tables=["account_changes", "scope_observations"])
        assert report.failed == []
        assert report.alarms == []
    assert ask("SELECT count(*) FROM account_changes") == [(4,)]
    assert ask("SELECT count(*) FROM account_changes_default") == [(0,)]


def test_a_table_of_a_thousand_partitions_is_managed_like_any_other(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask("DROP TABLE account_changes CASCADE")
    ask(
        "CREATE TABLE account_changes (id bigint, occurred_at timestamptz NOT NULL)"
        " PARTITION BY RANGE (occurred_at)"
    )
    first = date(1950, 1, 1)
    bounds = [first.replace(year=1950 + n // 12, month=n % 12 + 1) for n in range(1001)]
    for n in range(0, 1000, 500):
        ask(
            ";".join(
                f"CREATE TABLE account_changes_{lower:%Y_%m} PARTITION OF account_changes"
                f" FOR VALUES FROM ('{lower} 00:00+00') TO ('{upper} 00:00+00')"
                for lower, upper in pairwise(bounds[n : n + 501])
            )
        )
    ask("DROP TABLE account_changes_2026_12, account_changes_2026_01")
    started = time.monotonic()
    plan = service.manage_as_of(NOW, dry_run=True, tables=["account_changes"])
    planned = time.monotonic()
    report = service.manage_as_of(NOW, tables=["account_changes"])
    print(
        f"\n1,000 partitions: planned in {planned - started:.2f} s,"
        f" managed in {time.monotonic() - planned:.2f} s"
    )
    assert report.failed == []
    assert [one.partition for one in report.created] == [one.partition for one in plan.created]
    assert {one.partition: one.why for one in report.created} == {
        "account_changes_default": "no default",
        "account_changes_2026_12": "ahead",
        "account_changes_2026_01": "gap",
    }
    assert report.runway_days["account_changes"] == (bounds[-1] - NOW.date()).days - 1
    assert db.session.get_one(PartitionHealth, "account_changes").partition_count == 1001


def test_a_table_that_is_called_like_a_partition_is_attached_if_it_fits(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask("ALTER TABLE scope_observations DETACH PARTITION scope_observations_2026_12")
    ask("ALTER TABLE account_changes DETACH PARTITION account_changes_default")
    report = service.manage_as_of(NOW, tables=["account_changes", "scope_observations"])
    assert report.failed == []
    made = {one.partition: one.why for one in report.created}
    assert made["scope_observations_2026_12"] == "ahead"
    assert made["account_changes_default"] == "no default"
    assert report.left_over == []
    assert_healthy(service, NOW, ["account_changes", "scope_observations"])


def test_a_detached_partition_with_rows_of_its_time_comes_back_with_them(
    service: PartitionManagementService, ask: Ask
) -> None:
    observed(ask, "2026-12-24T00:00:00Z")
    ask("ALTER TABLE scope_observations DETACH PARTITION scope_observations_2026_12")
    observed(ask, "2026-12-25T00:00:00Z")
    assert ask("SELECT count(*) FROM scope_observations") == [(1,)]
    assert service.manage_as_of(NOW, tables=["scope_observations"]).failed == []
    assert where(ask, "scope_observations", "observed_at") == ["scope_observations_2026_12"] * 2


def test_a_table_of_the_right_name_that_does_not_fit_is_told_and_left_alone(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask("DROP TABLE scope_observations_2026_12, scope_observations_2027_01")
    ask("CREATE TABLE scope_observations_2026_12 (something text)")
    ask("CREATE VIEW scope_observations_2027_01 AS SELECT 1 AS one")
    ask("CREATE TABLE scope_observations_2011_01 (LIKE scope_observations)")
    report = service.manage_as_of(NOW)
    told = {one.partition: one.reason for one in report.failed}
    assert told.keys() == {"scope_observations_2026_12", "scope_observations_2027_01"}
    assert "is no table that could become a partition" in told["scope_observations_2027_01"]
    assert {one.partition for one in report.left_over} == {
        "scope_observations_2026_12",
        "scope_observations_2011_01",
    }
    assert ask("SELECT count(*) FROM scope_observations_2026_12") == [(0,)]
    assert report.success_count == len(POLICIES) - 1
    ask("DROP TABLE scope_observations_2026_12, scope_observations_2011_01")
    ask("DROP VIEW scope_observations_2027_01")
    assert service.manage_as_of(NOW).failed == []
    assert_healthy(service, NOW)


def test_what_others_have_made_by_hand_covers_its_time_and_the_rest_is_filled(
    service: PartitionManagementService, ask: Ask
) -> None:
    drop_all(ask, "scope_observations")
    ask(
        'CREATE TABLE "Made: by hand" PARTITION OF scope_observations'
        " FOR VALUES FROM ('2026-11-10 06:00+00') TO ('2027-01-05 00:00+00')"
    )
    ask("CREATE TABLE scope_observations_default PARTITION OF scope_observations DEFAULT")
    observed(ask, "2026-11-10T05:59:59Z", "2026-12-01T00:00:00Z", "2027-01-05T00:00:00Z")
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    assert report.failed == []
    assert report.runway_days["scope_observations"] >= 90
    assert where(ask, "scope_observations", "observed_at") == [
        "scope_observations_2026_11_from_1101000000",
        '"Made: by hand"',
        "scope_observations_2027_01_from_0105000000",
    ]
    assert_healthy(service, NOW, ["scope_observations"])
    later = NOW + timedelta(days=1200)
    dropped = {
        one.partition for one in service.manage_as_of(later, tables=["scope_observations"]).dropped
    }
    assert "Made: by hand" in dropped
    assert ask("SELECT count(*) FROM scope_observations") == [(0,)]


def test_a_partition_without_an_end_covers_everything_that_comes(
    service: PartitionManagementService, ask: Ask
) -> None:
    drop_all(ask, "scope_observations")
    ask(
        "CREATE TABLE all_of_it PARTITION OF scope_observations"
        " FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
    )
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    assert report.failed == []
    assert report.runway_days["scope_observations"] > 1_000_000
    assert sorted(partitions(ask, "scope_observations")) == [
        "all_of_it",
        "scope_observations_default",
    ]


def test_a_missing_table_is_told_and_the_others_are_managed(
    service: PartitionManagementService, ask: Ask
) -> None:
    ask("DROP TABLE storage_sizes")
    report = service.manage_as_of(NOW + timedelta(days=5))
    assert tables_of(report.failed) == {"storage_sizes"}
    assert "db upgrade" in report.failed[0].reason
    assert any(one.table == "relation_sizes" for one in report.created)


def test_two_at_once_are_one_and_the_other_says_so(
    service: PartitionManagementService, ask: Ask, conninfo: str
) -> None:
    with psycopg.connect(conninfo, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x5748_414C_0002,))
        with pytest.raises(AlreadyManaging, match="by somebody else"):
            service.manage_as_of(NOW)
        service.manage_as_of(NOW, dry_run=True)  # a plan is in nobody's way
    assert service.manage_as_of(NOW + timedelta(days=1)).failed == []
    assert ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2") == [(0,)]


def test_killed_in_the_middle_the_next_one_goes_on(
    service: PartitionManagementService, ask: Ask, conninfo: str
) -> None:
    for table in POLICIES:
        drop_all(ask, table)
    observed_before = ask("SELECT count(*) FROM pg_inherits")[0][0]
    service.patience = Patience(first_ms=20_000, further_ms=20_000, pauses_seconds=())
    ended: list[BaseException] = []

    def manage() -> None:
        with application.app_context():
            try:
                service.manage_as_of(NOW)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                ended.append(error)
            finally:
                db.session.close()

    application = current_app._get_current_object()  # type: ignore[attr-defined]
    with psycopg.connect(conninfo) as other:
        other.execute("LOCK TABLE instance_sizes IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=manage)
        thread.start()
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%instance_sizes%'"
        )
        deadline = time.monotonic() + 20
        while not ask(waiting):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        killed = ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'whalefall'"
        )
        assert len(killed) >= 2  # the one that works, and the one that keeps others away
        thread.join(30)
        assert not thread.is_alive()
    (error,) = ended
    assert isinstance(error, AlreadyManaging)
    assert ask("SELECT count(*) FROM pg_inherits")[0][0] > observed_before
    assert "account_changes_2026_11" in partitions(ask, "account_changes")
    assert partitions(ask, "storage_sizes") == []
    assert service.manage_as_of(NOW).failed == []
    assert_healthy(service, NOW)
