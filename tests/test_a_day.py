"""A whole day of the schedule on a fast clock: every job is fired by the scheduler itself."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from apscheduler.triggers.cron import CronTrigger
from flask import Flask

from app import create_app
from app.config import Settings
from app.constants.engines import TlsMode
from app.models import db
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.services.schedule.wall_clock import WallClock
from app.services.task_runs.task_runs_service import task_runs_service
from app.worker import run_all
from tests.fixtures.postgresql import PostgresqlServer
from tests.services.task_runs.conftest import until

SPEED = 1440
"""A day is a minute."""
EVENTS = {
    "manage_partitions": "分区管理任务",
    "collect_capacity": "容量采集任务",
    "sync_accounts": "账户同步任务",
    "run_aggregation": "容量聚合任务",
    "cleanup_logs": "日志清理任务",
}
"""The tasks in the order of their hours, and what their log events call them."""


class FastClock(WallClock):
    """The wall clock of a zone in which midnight is the moment of its making, and time flies."""

    def __init__(self, fields: CronTrigger, zone: ZoneInfo) -> None:
        super().__init__(fields, zone)
        self._began = datetime.now(UTC)
        self._midnight = datetime(2026, 3, 2, tzinfo=zone).astimezone(UTC)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        previous = self._shown(previous_fire_time) if previous_fire_time else None
        found = super().get_next_fire_time(previous, self._shown(now))
        if found is None:
            return None
        real = self._began + (found.astimezone(UTC) - self._midnight) / SPEED
        return real.astimezone(self.timezone)

    def _shown(self, moment: datetime) -> datetime:
        return self._midnight + (moment.astimezone(UTC) - self._began) * SPEED


def _zone_where_no_job_is_due() -> str:
    """Return a zone in which it is about noon: nothing is really due while the test runs."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"


@pytest.fixture
def noon_app(store_url: str, tmp_path: Path) -> Any:
    application = create_app(
        Settings(
            database_url=store_url,
            data_dir=tmp_path / "data",
            timezone=_zone_where_no_job_is_due(),
            log_format="json",
        )
    )
    with application.app_context():
        try:
            yield application
        finally:
            db.session.close()
            db.engine.dispose()
            structlog.reset_defaults()


def test_every_job_of_the_specification_runs_once_a_day_by_itself_and_says_so(
    noon_app: Flask,
    postgresql: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = postgresql.target()
    credentials_service.add("monitor", target.username, "its socket asks for none")
    instances_service.add(
        name="orders",
        engine=target.engine,
        host=target.host,
        port=target.port,
        credential="monitor",
        tls_mode=TlsMode.DISABLE,
    )
    monkeypatch.setattr("app.scheduler.WallClock", FastClock)
    stop = threading.Event()
    up = threading.Thread(target=run_all, args=(noon_app, stop))
    up.start()
    try:
        until(lambda: len(_ended()) >= len(EVENTS), seconds=90)
    finally:
        stop.set()
        up.join(30)
    assert not up.is_alive()
    runs = _ended()
    assert [run.task for run in runs] == list(EVENTS)
    assert {run.trigger for run in runs} == {"schedule"}
    assert {run.task: (run.state, run.error) for run in runs} == dict.fromkeys(
        EVENTS, ("succeeded", None)
    )
    assert [row.outcome for row in _fires()] == ["started"] * len(EVENTS)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "tasks" in line]
    told = [line for line in lines if line.get("module") == "tasks"]
    for run in runs:
        mine = [line for line in told if line.get("run_id") == run.id]
        name = EVENTS[run.task]
        assert [line["event"] for line in mine] == [f"开始{name}", f"{name}完成"]
        assert {line["task"] for line in mine} == {run.task}
        assert mine[1]["failed_count"] == 0
        assert mine[1]["success_count"] >= 1


def _ended() -> list[Any]:
    runs = [run for run in task_runs_service.list_runs() if run.ended_at is not None]
    db.session.rollback()
    return sorted(runs, key=lambda run: run.requested_at)


def _fires() -> list[Any]:
    from sqlalchemy import text

    rows = db.session.execute(text("SELECT * FROM job_fires ORDER BY scheduled_at")).all()
    db.session.rollback()
    return list(rows)


def test_the_fast_clock_shows_the_hours_of_a_day_within_a_minute() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    clock = FastClock(CronTrigger(hour=3, minute=0), zone)
    now = datetime.now(UTC)
    first = clock.get_next_fire_time(None, now)
    assert first is not None
    assert abs((first - now).total_seconds() - 7.5) < 1
    second = clock.get_next_fire_time(first, first)
    assert second is not None
    assert second - first == timedelta(minutes=1)
