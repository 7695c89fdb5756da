"""What has expired goes, and nothing else; raw data only once it is in sealed aggregates."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from app.config import Retention, current_settings, install_settings
from app.constants.partitions import POLICIES
from app.services.capacity_aggregation.capacity_aggregation_service import (
    capacity_aggregation_service,
)
from app.services.partition_management.partition_management_service import (
    PartitionManagementService,
)
from tests.services.partition_management.conftest import (
    NOW,
    Ask,
    month,
    observed,
    partitions,
    tables_of,
)

RAW = (
    "capacity_collections",
    "instance_sizes",
    "database_sizes",
    "storage_sizes",
    "relation_sizes",
)
Configure = Callable[..., None]


@pytest.fixture
def configure(app: Flask) -> Configure:
    def change(**settings: object) -> None:
        install_settings(app, current_settings().model_copy(update=settings))

    return change


def logged(ask: Ask, *moments: datetime, copies: int = 1) -> None:
    for moment in moments:
        ask(
            "INSERT INTO log_entries (occurred_at, producer_id, sequence, severity_class, level,"
            " logger, event) SELECT %s, 1, i, 'info', 'info', 'x', repeat('event', 20)"
            " FROM generate_series(1, %s) AS i",
            moment,
            copies,
        )


def sized(ask: Ask, *moments: datetime) -> None:
    """Write a collection with a size of one relation and of the instance, and the mark."""
    zone = str(current_settings().zone)
    for moment in moments:
        ask(
            "INSERT INTO capacity_collections (collected_at, instance_id, run_item_id)"
            " VALUES (%s, 1, 1)",
            moment,
        )
        ask(
            "INSERT INTO instance_sizes VALUES (%s, 5, 5, 1, 1, 0)",
            moment,
        )
        ask(
            "INSERT INTO relation_sizes (collected_at, total_bytes, database_id, relation_id)"
            " VALUES (%s, 5, 1, 1)",
            moment,
        )
        ask(
            "INSERT INTO dirty_periods (period, start_on, instance_id)"
            " VALUES ('day', (%s::timestamptz AT TIME ZONE %s)::date, 1)",
            moment,
            zone,
        )


def instances(ask: Ask) -> None:
    ask(
        "WITH login AS (INSERT INTO credentials (name, username, secret) VALUES ('c', 'u', '')"
        " RETURNING id) INSERT INTO instances (name, engine, host, port, credential_id)"
        " SELECT 'one', 'postgresql', 'h', 1, id FROM login"
    )
    ask("INSERT INTO databases (instance_id, engine_key, name) VALUES (1, '1', 'one')")
    ask(
        "INSERT INTO relations (database_id, engine_key, schema_name, name, kind, first_seen_at)"
        " VALUES (1, '1', 'public', 'one', 'table', '2020-01-01')"
    )


def raw_rows(ask: Ask) -> int:
    return sum(ask(f"SELECT count(*) FROM {table}")[0][0] for table in RAW)


def test_what_is_older_than_its_days_goes_the_day_after_and_not_before(
    service: PartitionManagementService, ask: Ask
) -> None:
    logged(ask, NOW)
    same_day = datetime(2026, 11, 24, tzinfo=UTC)
    tables = ["log_entries_info"]
    last_moment = same_day + timedelta(days=15) - timedelta(microseconds=1)
    assert service.manage_as_of(last_moment, tables=tables).dropped == []
    plan = service.manage_as_of(same_day + timedelta(days=15), dry_run=True, tables=tables)
    report = service.manage_as_of(same_day + timedelta(days=15), tables=tables)
    assert [one.partition for one in report.dropped] == ["log_entries_info_2026_11_24"]
    assert report.bytes_freed == plan.bytes_freed > 0
    assert [(one.partition, one.bytes, one.why) for one in plan.dropped] == [
        (one.partition, one.bytes, one.why) for one in report.dropped
    ]
    assert ask("SELECT count(*) FROM log_entries") == [(0,)]


def test_a_limit_by_rows_takes_the_oldest_until_what_is_left_is_within_it(
    service: PartitionManagementService, ask: Ask, configure: Configure
) -> None:
    days = [NOW + timedelta(days=n) for n in range(5)]
    for n, day in enumerate(days):
        logged(ask, day, copies=10 * (n + 1))
    tables = ["log_entries_info"]
    for limit, kept in ((150, 150), (149, 140), (90, 90), (89, 50), (10, 50)):
        configure(retention={"log_entries_info": Retention(rows=limit)})
        report = service.manage_as_of(days[-1], tables=tables)
        assert report.failed == []
        assert ask("SELECT count(*) FROM log_entries") == [(kept,)], limit


def test_a_limit_by_bytes_takes_the_oldest_and_never_the_present_partition(
    service: PartitionManagementService, ask: Ask, configure: Configure
) -> None:
    days = [NOW + timedelta(days=n) for n in range(3)]
    logged(ask, *days, copies=3000)
    service.manage_as_of(days[-1], tables=["log_entries_info"])
    total = ask("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
                " WHERE inhparent = 'log_entries_info'::regclass")[0][0]  # fmt: skip
    one = ask("SELECT pg_total_relation_size('log_entries_info_2026_11_24')")[0][0]
    tables = ["log_entries_info"]
    configure(retention={"log_entries_info": Retention(bytes=int(total))})
    assert service.manage_as_of(days[-1], tables=tables).dropped == []
    configure(retention={"log_entries_info": Retention(bytes=int(total - one))})
    report = service.manage_as_of(days[-1], tables=tables)
    assert [gone.partition for gone in report.dropped] == ["log_entries_info_2026_11_24"]
    assert report.bytes_freed == one
    configure(retention={"log_entries_info": Retention(bytes=0)})
    report = service.manage_as_of(days[-1], tables=tables)
    assert [gone.partition for gone in report.dropped] == ["log_entries_info_2026_11_25"]
    assert ask("SELECT count(*) FROM log_entries") == [(3000,)]


def test_a_mistake_in_the_setting_is_told_and_nothing_is_dropped_but_made(
    service: PartitionManagementService, ask: Ask, configure: Configure
) -> None:
    observed(ask, "2020-01-01T00:00Z")
    configure(
        retention={"relation_size": Retention(days=1), "task_runs": Retention(days=1)},
    )
    report = service.manage_as_of(NOW)
    (mistake,) = report.mistakes
    assert mistake.endswith(
        "relation_size is no table that is kept for a time: did you mean relation_sizes?"
    )
    assert (report.success_count, report.failed_count) == (len(POLICIES), 1)
    assert "scope_observations_2020_01" in {one.partition for one in report.created}
    assert report.dropped == []
    configure(retention={"task_runs": Retention(days=1)})
    report = service.manage_as_of(NOW)
    assert report.mistakes == []
    assert [one.partition for one in report.dropped] == ["scope_observations_2020_01"]


def test_raw_rows_of_a_day_without_a_sealed_aggregate_stay_and_it_is_said_why(
    service: PartitionManagementService, ask: Ask, configure: Configure
) -> None:
    instances(ask)
    moment = datetime(2025, 1, 31, 15, 59, tzinfo=UTC)  # the last minute of the month in Shanghai
    sized(ask, moment, moment + timedelta(minutes=2))
    report = service.manage_as_of(NOW, tables=RAW)
    assert {one.partition for one in report.refused} == {
        "capacity_collections_2025_01",
        "instance_sizes_2025_01",
        "relation_sizes_2025_01_31",
    }
    for refused in report.refused:
        assert "2025-01-31: it has to be aggregated again" in refused.reason
        assert "2025-02-01" in refused.reason
    assert raw_rows(ask) == 6
    configure(seal_after_days=0)
    capacity_aggregation_service.aggregate()
    ask("UPDATE capacity_periods SET sealed_at = NULL WHERE start_on = '2025-02-01'")
    report = service.manage_as_of(NOW, dry_run=True, tables=RAW)
    assert {one.reason for one in report.refused} == {
        "it has rows that are in no sealed aggregate. 2025-02-01: it is not sealed yet"
    }
    ask("DELETE FROM capacity_periods WHERE start_on = '2025-02-01' AND period = 'day'")
    report = service.manage_as_of(NOW, dry_run=True, tables=RAW)
    assert {one.reason for one in report.refused} == {
        "it has rows that are in no sealed aggregate. 2025-02-01: it is not aggregated"
    }
    capacity_aggregation_service.aggregate("2025-01-31", "2025-02-01")
    report = service.manage_as_of(NOW, tables=RAW)
    assert (report.refused, report.failed) == ([], [])
    assert raw_rows(ask) == 0
    expired = (
        "SELECT start_on FROM capacity_periods WHERE period = 'day' AND expired_at IS NOT NULL"
    )
    assert ask(f"{expired} ORDER BY 1") == [(date(2025, 1, 31),), (date(2025, 2, 1),)]


def test_a_partition_without_rows_expires_although_nothing_was_aggregated(
    service: PartitionManagementService, ask: Ask
) -> None:
    later = NOW + timedelta(days=480)
    for table in ("relation_sizes",):
        before = partitions(ask, table)
        report = service.manage_as_of(later, tables=[table])
        assert report.refused == []
        assert "relation_sizes_2026_11_24" in before
        assert "relation_sizes_2026_11_24" in {one.partition for one in report.dropped}


def test_an_aggregation_that_has_begun_keeps_the_rows_that_it_reads(
    service: PartitionManagementService, ask: Ask, conninfo: str, configure: Configure
) -> None:
    instances(ask)
    configure(seal_after_days=0)
    sized(ask, datetime(2025, 1, 15, 4, tzinfo=UTC))
    capacity_aggregation_service.aggregate()
    sized(ask, datetime(2025, 1, 15, 5, tzinfo=UTC))  # late
    with psycopg.connect(conninfo) as aggregation:
        aggregation.execute("DELETE FROM dirty_periods")
        report = service.manage_as_of(NOW, tables=RAW)
        assert len(report.refused) == 3
        assert all("has to be aggregated again" in one.reason for one in report.refused)
        aggregation.rollback()
    assert raw_rows(ask) == 6


def test_days_go_once_their_weeks_months_and_quarters_are_sealed_and_their_samples_gone(
    service: PartitionManagementService, ask: Ask, configure: Configure
) -> None:
    instances(ask)
    configure(seal_after_days=0)
    sized(ask, datetime(2022, 1, 15, 4, tzinfo=UTC), datetime(2022, 3, 30, 4, tzinfo=UTC))
    capacity_aggregation_service.aggregate()
    days = ["capacity_rollups_day"]
    report = service.manage_as_of(NOW, dry_run=True, tables=days)
    assert "samples of its days: they have to expire first" in report.refused[0].reason
    service.manage_as_of(NOW, tables=RAW)
    assert raw_rows(ask) == 0
    ask("UPDATE capacity_periods SET sealed_at = NULL WHERE period = 'quarter'")
    report = service.manage_as_of(NOW, tables=days)
    assert report.dropped == []
    assert len(report.refused) == 2
    for refused in report.refused:
        assert refused.reason.endswith("the quarter of 2022-01-01: it is not sealed yet")
    before = ask("SELECT count(*) FROM capacity_rollups WHERE period <> 'day'")
    capacity_aggregation_service.aggregate()
    report = service.manage_as_of(NOW, tables=days)
    assert {one.partition for one in report.dropped} == {
        "capacity_rollups_day_2022_01",
        "capacity_rollups_day_2022_03",
    }
    assert ask("SELECT count(*) FROM capacity_rollups WHERE period = 'day'") == [(0,)]
    capacity_aggregation_service.aggregate()
    assert ask("SELECT count(*) FROM capacity_rollups WHERE period <> 'day'") == before


def test_a_partition_is_exported_before_it_goes(
    service: PartitionManagementService, ask: Ask, configure: Configure, tmp_path: Path
) -> None:
    directory = tmp_path / "to" / "come"
    configure(partition_export_dir=directory)
    ask(
        "INSERT INTO scope_observations (observed_at, run_item_id, instance_id, scope, status,"
        " reason, duration_ms) SELECT '2024-05-01', i, 1, 'a \"b\",\n', 'full', NULL, 1"
        " FROM generate_series(1, 1234) AS i"
    )
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    (dropped,) = report.dropped
    (file,) = directory.iterdir()
    assert dropped.exported_to == str(file)
    assert file.name == "scope_observations_2024_05__20240501T000000Z-20240601T000000Z.csv.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["run_item_id"]) for row in rows] == list(range(1, 1235))
    assert rows[0]["scope"] == 'a "b",\n'
    observed(ask, "2024-05-20T00:00Z")  # late: a second file, the first one stays
    service.manage_as_of(NOW, tables=["scope_observations"])
    assert len(list(directory.iterdir())) == 2


def test_what_cannot_be_exported_is_not_dropped(
    service: PartitionManagementService, ask: Ask, configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    configure(partition_export_dir=tmp_path / "file")
    observed(ask, "2024-05-01T00:00Z")
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    (refused,) = report.refused
    assert "the export to" in refused.reason
    assert report.dropped == []
    assert ask("SELECT count(*) FROM scope_observations") == [(1,)]


def test_an_export_whose_drop_fails_leaves_no_file(
    service: PartitionManagementService,
    ask: Ask,
    configure: Configure,
    conninfo: str,
    tmp_path: Path,
) -> None:
    directory = tmp_path / "exports"
    configure(partition_export_dir=directory)
    month(ask, "2024-05", "2024-06")
    observed(ask, "2024-05-01T00:00Z")
    tables = ["scope_observations", "log_entries_info"]
    logged(ask, NOW - timedelta(days=40))
    with psycopg.connect(conninfo) as reader:
        reader.execute("SELECT count(*) FROM scope_observations")
        report = service.manage_as_of(NOW, tables=tables)
        assert [path.name[:16] for path in directory.iterdir()] == ["log_entries_info"]
        assert tables_of(report.failed) == {"scope_observations"}
        assert {one.table for one in report.dropped} == {"log_entries_info"}
    report = service.manage_as_of(NOW, tables=tables)
    assert [one.table for one in report.dropped] == ["scope_observations"]


def test_a_partition_that_a_view_needs_is_told_and_stays(
    service: PartitionManagementService, ask: Ask
) -> None:
    month(ask, "2024-05", "2024-06")
    month(ask, "2024-06", "2024-07")
    ask("CREATE VIEW somebodys AS SELECT * FROM scope_observations_2024_05")
    report = service.manage_as_of(NOW, tables=["scope_observations"])
    (failed,) = report.failed
    assert failed.partition == "scope_observations_2024_05"
    assert "somebodys" in failed.reason
    assert [one.partition for one in report.dropped] == ["scope_observations_2024_06"]
