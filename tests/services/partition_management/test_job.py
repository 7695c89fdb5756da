from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta

import psycopg
import pytest

from app.constants.partitions import POLICIES
from app.constants.runs import State, Trigger
from app.models import PartitionHealth, db
from app.services.partition_management.partition_management_service import (
    PartitionManagementService,
)
from app.services.task_runs.execution import execute_run
from app.services.task_runs.task_runs_service import task_runs_service
from app.tasks.partition_management_tasks import manage_partitions
from tests.services.partition_management.conftest import NOW, Ask, drop_all, observed


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


@pytest.mark.usefixtures("app")
def test_the_task_says_what_it_does_and_gives_what_was_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        result = manage_partitions()
    assert json.loads(json.dumps(result)) == result
    assert (result["success_count"], result["failed_count"]) == (len(POLICIES), 0)
    told = [one["event"] for one in events(caplog) if one.get("module") == "tasks"]
    assert told == ["开始分区管理任务", "分区管理任务完成"]
    planned = manage_partitions(dry_run=True)
    assert planned["dry_run"] is True
    assert planned["created"] == []


def test_a_short_runway_is_an_alarm_in_the_log_in_the_result_and_in_the_store(
    service: PartitionManagementService,
    ask: Ask,
    conninfo: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    drop_all(ask, "log_entries_error")
    with psycopg.connect(conninfo) as other:
        other.execute("LOCK TABLE log_entries_error IN ROW EXCLUSIVE MODE")
        report = service.manage_as_of(NOW, tables=["log_entries_error", "log_entries_info"])
    (alarm,) = report.alarms
    assert (alarm.table, alarm.runway_days) == ("log_entries_error", 0)
    (told,) = [one for one in events(caplog) if one["event"] == "Partitions run out"]
    assert (told["level"], told["table"], told["runway_days"]) == ("error", "log_entries_error", 0)
    health = db.session.get_one(PartitionHealth, "log_entries_error")
    assert health.runway_days == 0
    assert health.problem is not None
    assert "but the default one" in health.problem
    assert db.session.get_one(PartitionHealth, "log_entries_info").problem is None


def test_health_says_what_is_really_there(service: PartitionManagementService, ask: Ask) -> None:
    observed(ask, "2026-05-05T00:00Z", "infinity")
    service.manage_as_of(NOW + timedelta(days=1), tables=["scope_observations"])
    health = db.session.get_one(PartitionHealth, "scope_observations")
    assert health.measured_at == NOW + timedelta(days=1)
    assert health.oldest_at is not None
    assert health.oldest_at.isoformat()[:7] in {"2026-04", "2026-05"}
    assert health.default_rows == 1
    count, size = ask(
        "SELECT count(*), sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
        " WHERE inhparent = 'scope_observations'::regclass"
    )[0]
    assert (health.partition_count, health.total_bytes) == (count, size)
    assert health.runway_days == 95


@pytest.mark.usefixtures("app")
def test_a_run_of_the_job_ends_with_its_result() -> None:
    requested = task_runs_service.request("manage_partitions", trigger=Trigger.MANUAL)
    execute_run(
        requested.run_id,
        {"manage_partitions": manage_partitions},
        attempts=0,
        stop=threading.Event(),
    )
    run = task_runs_service.get_run(requested.run_id)
    assert run.state == State.SUCCEEDED
    assert run.result is not None
    assert run.result["failed_count"] == 0
