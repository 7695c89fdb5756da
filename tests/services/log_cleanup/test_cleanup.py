"""What log cleanup deletes, and what it keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from app.config import Retention, Settings, current_settings, install_settings
from app.models import db
from app.services.log_cleanup.log_cleanup_service import log_cleanup_service
from app.tasks.log_cleanup_tasks import cleanup_logs
from app.utils.log_queue import Entry
from app.utils.log_spill import FOLDER, SpillFile
from app.utils.refusal import Refused

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _context(app: Flask) -> None:
    """Everything here needs a store."""


def run_of(days: float, state: str = "succeeded", task: str = "sync_accounts", **more: Any) -> int:
    """Write a run that ended so many days ago, or is active, and return its id."""
    values: dict[str, Any] = {"task": task, "trigger": "manual", "state": state} | more
    if state not in ("queued", "running"):
        values["ended_at"] = NOW - timedelta(days=days)
    values["requested_at"] = NOW - timedelta(days=days)
    columns = ", ".join(values)
    given = ", ".join(f":{name}" for name in values)
    run_id: int = db.session.execute(
        text(f"INSERT INTO task_runs ({columns}) VALUES ({given}) RETURNING id"), values
    ).scalar_one()
    return run_id


def fill_up(task: str = "sync_accounts", count: int = 100) -> None:
    """Write the newest runs of a task, which stay in any case."""
    for _ in range(count):
        run_of(0, task=task)
    db.session.commit()


def ids(table: str, column: str = "id") -> set[Any]:
    found = set(db.session.execute(text(f"SELECT {column} FROM {table}")).scalars())
    db.session.rollback()
    return found


@contextmanager
def retention(app: Flask, **limits: Retention) -> Iterator[None]:
    before: Settings = current_settings()
    install_settings(app, before.model_copy(update={"retention": limits}))
    yield
    install_settings(app, before)


def test_failures_are_kept_longer_than_successes_and_what_is_active_always() -> None:
    gone = [run_of(91), run_of(91, "cancelled"), run_of(401, "failed"), run_of(401, "partial")]
    stay = [
        run_of(89),
        run_of(399, "failed"),
        run_of(399, "partial"),
        run_of(999, "running"),
        run_of(999, "queued", task="collect_capacity"),
    ]
    fill_up()
    result = log_cleanup_service.cleanup()
    assert result["failures"] == {}
    assert result["deleted"]["task_runs"] == len(gone)
    left = ids("task_runs")
    assert left.isdisjoint(gone)
    assert left.issuperset(stay)


def test_the_newest_hundred_runs_of_each_task_stay_however_old() -> None:
    rare = [run_of(2000 - number, task="rare") for number in range(120)]
    db.session.commit()
    log_cleanup_service.cleanup()
    assert ids("task_runs") == set(rare[20:])


def test_items_go_with_their_run_in_batches_and_a_retry_forgets_of_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.services.log_cleanup.log_cleanup_service.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("app.services.log_cleanup.log_cleanup_service.RUNS_AT_ONCE", 2)
    db.session.execute(
        text(
            "INSERT INTO instances (name, engine, host, port, removed_at)"
            " SELECT 's' || n, 'postgresql', 'h', 1, now() FROM generate_series(1, 20) AS n"
        )
    )
    old = [run_of(100) for _ in range(5)]
    retry = run_of(1, retry_of_id=old[0])
    db.session.execute(
        text(
            "INSERT INTO task_run_items (run_id, instance_id, state)"
            " SELECT run.id, instance.id, 'succeeded' FROM task_runs AS run, instances AS instance"
        )
    )
    db.session.execute(
        text(
            "INSERT INTO job_fires (job_id, scheduled_at, outcome, run_id)"
            " VALUES ('j', now(), 'started', :run)"
        ),
        {"run": old[1]},
    )
    fill_up()
    deleted = log_cleanup_service.cleanup()["deleted"]
    assert (deleted["task_runs"], deleted["task_run_items"]) == (5, 100)
    assert ids("task_run_items", "run_id") == {retry}
    assert ids("task_runs", "retry_of_id") == {None}
    assert ids("job_fires", "run_id") == {None}


def test_limits_by_rows_and_bytes_keep_the_newest(app: Flask) -> None:
    first = [run_of(3, task="busy") for _ in range(200)]
    db.session.commit()
    with retention(app, task_runs=Retention(rows=150)):
        assert log_cleanup_service.cleanup()["deleted"]["task_runs"] == 50
    assert ids("task_runs") == set(first[50:])
    row_bytes = db.session.execute(
        text("SELECT avg(pg_column_size(run.*)) FROM task_runs AS run")
    ).scalar_one()
    with retention(app, task_runs=Retention(bytes=int(row_bytes * 120))):
        log_cleanup_service.cleanup()
    assert 110 <= len(ids("task_runs")) <= 130
    with retention(app, task_runs=Retention(rows=1)):
        log_cleanup_service.cleanup()
    assert ids("task_runs") == set(first[100:])


def test_a_mistake_in_the_setting_deletes_nothing(app: Flask) -> None:
    run_of(5000)
    fill_up()
    with retention(app, task_run=Retention(days=1)), pytest.raises(Refused, match="task_runs"):
        log_cleanup_service.cleanup()
    with retention(app, job_fires=Retention(rows=1)), pytest.raises(Refused, match="days only"):
        log_cleanup_service.cleanup()
    assert len(ids("task_runs")) == 101


def test_fires_are_kept_for_400_days_and_the_newest_hundred_of_each_job() -> None:
    db.session.execute(
        text(
            "INSERT INTO job_fires (job_id, scheduled_at, recorded_at, outcome)"
            " SELECT job, moment, moment, 'started' FROM unnest(ARRAY['a', 'b']) AS job,"
            " LATERAL (SELECT now() - make_interval(days => n) AS moment"
            "  FROM generate_series(CASE job WHEN 'a' THEN 1 ELSE 500 END, 620) AS n) AS fire"
        )
    )
    db.session.commit()
    result = log_cleanup_service.cleanup()
    kept = db.session.execute(
        text("SELECT job_id, count(*) FROM job_fires GROUP BY job_id ORDER BY job_id")
    ).all()
    db.session.rollback()
    assert [tuple(row) for row in kept] == [("a", 399), ("b", 100)]
    assert result["deleted"]["job_fires"] == 221 + 21


def test_jobs_of_the_queue_that_failed_stay_longer() -> None:
    for number, (status, days) in enumerate(
        [("succeeded", 2), ("failed", 2), ("failed", 31), ("todo", 99), ("cancelled", 0)], 1
    ):
        db.session.execute(
            text(
                "INSERT INTO procrastinate_jobs (id, queue_name, task_name, status)"
                " VALUES (:id, 'items', 'run_item', CAST(:status AS procrastinate_job_status))"
            ),
            {"id": number, "status": status},
        )
        db.session.execute(
            text(
                "WITH gone AS (DELETE FROM procrastinate_events WHERE job_id = :id)"
                " INSERT INTO procrastinate_events (job_id, type, at) VALUES (:id, 'deferred', :at)"
            ),
            {"id": number, "at": NOW - timedelta(days=days)},
        )
    db.session.commit()
    assert log_cleanup_service.cleanup()["deleted"]["procrastinate_jobs"] == 2
    assert ids("procrastinate_jobs") == {2, 4, 5}


def entry(severity: str, days: int) -> None:
    db.session.execute(
        text(
            "INSERT INTO log_entries (occurred_at, producer_id, sequence, severity_class, level,"
            " logger, event) VALUES (:at, 1, 1, :severity, :severity, 'l', :event)"
        ),
        {"at": NOW - timedelta(days=days), "severity": severity, "event": f"{severity} {days}"},
    )
    db.session.commit()


def test_errors_outlive_chatter_also_where_no_partition_holds_them(app: Flask) -> None:
    for severity in ("info", "warning", "error"):
        for days in (10, 20, 95, 500):
            entry(severity, days)
    assert log_cleanup_service.cleanup()["deleted"]["log_entries"] == 3 + 2 + 1
    assert ids("log_entries", "event") == {
        "info 10",
        "warning 10",
        "warning 20",
        "error 10",
        "error 20",
        "error 95",
    }
    with retention(app, log_entries_error=Retention(days=15)):
        log_cleanup_service.cleanup()
    assert "error 10" in ids("log_entries", "event")
    assert "error 20" not in ids("log_entries", "event")


def test_expired_partitions_of_logs_are_dropped() -> None:
    day = NOW - timedelta(days=60)
    name = f"log_entries_info_{day:%Y_%m_%d}"
    db.session.execute(
        text(
            f"CREATE TABLE {name} PARTITION OF log_entries_info FOR VALUES FROM"
            f" ('{day:%Y-%m-%d} 00:00+00') TO ('{day + timedelta(days=1):%Y-%m-%d} 00:00+00')"
        )
    )
    entry("info", 60)
    result = log_cleanup_service.cleanup()
    assert result["failures"] == {}
    assert result["deleted"]["log_partitions"] == 1
    assert ids("log_entries", "event") == set()


def test_a_process_is_forgotten_when_its_entries_are() -> None:
    for number, days in enumerate((5, 399, 401), 1):
        db.session.execute(
            text(
                "INSERT INTO log_producers (token, host, process_id, started_at, last_entry_at)"
                " VALUES (gen_random_uuid(), 'h', :number, :began, :at)"
            ),
            {
                "number": number,
                "began": NOW - timedelta(days=900),
                "at": NOW - timedelta(days=days),
            },
        )
    db.session.commit()
    log_cleanup_service.cleanup()
    assert ids("log_producers", "process_id") == {1, 2}


def test_files_that_nobody_loaded_are_told_of_and_in_the_end_deleted(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = settings.data_dir / FOLDER
    living, dead, ancient = (SpillFile(folder) for _ in range(3))
    for file, days in ((living, 500), (dead, 2), (ancient, 401)):
        file.append([Entry(1, b"{}")])
        os.utime(file.path, ((NOW - timedelta(days=days)).timestamp(),) * 2)
    for file in (dead, ancient):
        content = file.path.read_bytes()
        stamp = file.path.stat().st_mtime
        file.forget(10**6)
        file.close()
        file.path.write_bytes(content)
        os.utime(file.path, (stamp, stamp))
    assert log_cleanup_service.cleanup()["deleted"]["spill_files"] == 1
    assert set(folder.iterdir()) == {living.path, dead.path}
    told = capsys.readouterr().err
    assert dead.path.name in told
    assert living.path.name not in told
    living.close()


def test_what_fails_in_one_part_leaves_the_others_alone(store_url: str) -> None:
    run_of(100)
    fill_up()
    with psycopg.connect(store_url.replace("+psycopg", "", 1)) as somebody:
        somebody.execute("ALTER TABLE job_fires RENAME COLUMN recorded_at TO noted_at")
        somebody.execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''never''; END'"
        )
        somebody.execute(
            "CREATE TRIGGER no BEFORE DELETE ON log_producers FOR EACH ROW EXECUTE FUNCTION no()"
        )
        somebody.execute(
            "INSERT INTO log_producers (token, host, process_id, started_at)"
            " VALUES (gen_random_uuid(), 'h', 1, '2020-01-01')"
        )
        somebody.commit()
    entry("error", 500)
    result = log_cleanup_service.cleanup()
    assert set(result["failures"]) == {"job_fires", "log_producers", "retention"}
    assert (result["success_count"], result["failed_count"]) == (5, 3)
    assert "never" in result["failures"]["log_producers"]
    assert (result["deleted"]["log_entries"], result["deleted"]["task_runs"]) == (1, 1)


def test_the_task_tells_what_it_did_and_what_is_kept() -> None:
    run_of(80)
    fill_up()
    result = cleanup_logs()
    assert result["failed_count"] == 0
    kept = {row["name"]: row for row in result["retention"]}
    assert kept["task_runs"]["keep_days"] == 90
    assert kept["task_runs"]["row_count"] == 101
    assert 79.9 < kept["task_runs"]["kept_days"] < 80.1
    assert kept["task_runs_failed"]["row_count"] == 0
    assert kept["log_entries_error"]["keep_days"] == 400
    assert kept["log_entries_error"]["oldest_at"] is None
