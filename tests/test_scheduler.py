from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger
from flask import Flask
from sqlalchemy import text

from app.models import db
from app.scheduler import (
    FireRecorder,
    Register,
    announce_jobs,
    register_jobs,
    run_scheduler,
    task_functions,
)
from app.services.schedule.schedule_service import schedule_service
from app.services.task_runs.task_runs_service import task_runs_service


def tick() -> dict[str, Any]:
    return {"success_count": 1, "failed_count": 0}


def every_second(scheduler: BaseScheduler, app: Flask) -> None:  # noqa: ARG001 - as register_jobs
    scheduler.add_job(func=tick, trigger=CronTrigger(second="*"), id="tick_often", name="tick")


def every_minute(scheduler: BaseScheduler, app: Flask) -> None:  # noqa: ARG001 - as register_jobs
    scheduler.add_job(func=tick, trigger=CronTrigger(minute="*"), id="tick_often", name="tick")


@contextmanager
def running(*functions: Callable[[threading.Event], None]) -> Iterator[list[threading.Event]]:
    stops = [threading.Event() for _ in functions]
    threads = [
        threading.Thread(target=function, args=(stop,))
        for function, stop in zip(functions, stops, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield stops
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


def clock(app: Flask, register: Register) -> Callable[[threading.Event], None]:
    return lambda stop: run_scheduler(app, stop, register)


def ask(statement: str) -> Any:
    answer = db.session.scalar(text(statement))
    db.session.rollback()
    return answer


def fires() -> list[Any]:
    rows = db.session.execute(text("SELECT * FROM job_fires ORDER BY scheduled_at")).all()
    db.session.rollback()
    return list(rows)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - started


SPECIFIED = {
    "partition_management_daily": ("每日分区管理", "manage_partitions", "30 0 * * *"),
    "capacity_collection_daily": ("每日容量采集", "collect_capacity", "0 1 * * *"),
    "sync_accounts_daily": ("每日账户同步", "sync_accounts", "0 2 * * *"),
    "capacity_aggregation_daily": ("每日容量聚合", "run_aggregation", "0 3 * * *"),
    "log_cleanup_daily": ("每日日志清理", "cleanup_logs", "0 4 * * *"),
}


def test_the_schedule_is_what_the_specification_says(app: Flask) -> None:
    scheduler = BackgroundScheduler()
    register_jobs(scheduler, app)
    jobs = scheduler.get_jobs()
    announce_jobs(app)
    found = {job.job_id: (job.name, job.task, job.cron) for job in schedule_service.list_jobs()}
    assert found.keys() == {job.id for job in jobs}
    assert found.items() <= SPECIFIED.items()
    assert {"sync_accounts_daily", "capacity_collection_daily"} <= found.keys()
    assert task_functions(app) == {job.func.__name__: job.func for job in jobs}


def test_a_schedule_without_a_zone_is_in_the_configured_one(app: Flask) -> None:
    announce_jobs(app)
    (job,) = (one for one in schedule_service.list_jobs() if one.job_id == "sync_accounts_daily")
    assert job.code_cron == "0 2 * * *"
    assert job.next_fire_at is not None
    assert job.next_fire_at.tzinfo == ZoneInfo("Asia/Shanghai")
    assert job.next_fire_at.hour == 2


def test_two_clocks_on_one_store_make_twenty_runs_of_twenty_ticks(app: Flask) -> None:
    def ended_and_counted() -> int:
        # as fast as no worker promises to: a run that lasts into the next tick has it skipped
        db.session.execute(text("UPDATE task_runs SET state = 'succeeded', ended_at = now()"))
        db.session.commit()
        return len(fires())

    with running(clock(app, every_second), clock(app, every_second)):
        until(lambda: ended_and_counted() >= 20, seconds=40)
    moments = [fire.scheduled_at for fire in fires()]
    gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(moments)}
    assert gaps == {1.0}
    late = [(fire.recorded_at - fire.scheduled_at).total_seconds() for fire in fires()]
    print(f"\n{len(moments)} ticks, the latest {max(late):.2f} s late")
    started = [fire.run_id for fire in fires() if fire.outcome == "started"]
    assert len(started) == len(set(started)) == len(moments)
    assert len(task_runs_service.list_runs(limit=1000)) == len(moments)
    assert ask("SELECT count(*) FROM procrastinate_jobs") == len(moments)


def test_what_an_operator_changes_takes_effect_within_seconds(app: Flask) -> None:
    with running(clock(app, every_second)):
        until(lambda: len(fires()) >= 2)
        schedule_service.pause("tick_often")
        time.sleep(2.5)
        paused = len(fires())
        time.sleep(1.5)
        assert len(fires()) == paused
        schedule_service.resume("tick_often")
        assert until(lambda: len(fires()) > paused) < 4
        schedule_service.set_cron("tick_often", "0 0 1 1 *")
        time.sleep(2.5)
        yearly = len(fires())
        time.sleep(1.5)
        assert len(fires()) == yearly
        schedule_service.set_cron("tick_often", None)
        assert until(lambda: len(fires()) > yearly) < 4


def test_a_fire_missed_while_nobody_was_the_clock_is_caught_up_once(app: Flask) -> None:
    announce_jobs(app, every_minute)
    with running(clock(app, every_minute)):
        time.sleep(1)
    caught_up = [run for run in task_runs_service.list_runs() if run.trigger == "catch_up"]
    assert caught_up == []
    db.session.execute(text("UPDATE job_settings SET effective_since = now() - interval '2 hours'"))
    db.session.execute(text("DELETE FROM job_fires"))
    db.session.commit()
    with running(clock(app, every_minute), clock(app, every_minute)):
        until(lambda: len(fires()) >= 1)
        time.sleep(1)
    assert 1 <= len(fires()) <= 2  # the second is the next minute's, if it has begun
    assert [run.trigger for run in task_runs_service.list_runs()] == ["catch_up"]


def test_a_clock_that_loses_its_session_stops_and_another_goes_on(app: Flask) -> None:
    with running(clock(app, every_second), clock(app, every_second)):
        until(lambda: len(fires()) >= 2)
        ended = db.session.scalars(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " JOIN pg_locks USING (pid)"
                " WHERE datname = current_database() AND locktype = 'advisory' AND granted"
                " AND application_name = 'whalefall clock'"
            )
        ).all()
        db.session.rollback()
        assert ended == [True]
        before = len(fires())
        print(f"\ntakeover after a lost session: {until(lambda: len(fires()) > before):.1f} s")
        until(lambda: len(fires()) >= before + 4)
    moments = [fire.scheduled_at for fire in fires()]
    assert len(moments) == len(set(moments))


def test_a_process_that_slept_past_the_grace_time_fires_nothing_stale(app: Flask) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    recorder = FireRecorder(app)
    scheduler = BackgroundScheduler(timezone=zone, executors={"default": recorder})
    job = scheduler.add_job(tick, CronTrigger(hour=2, timezone=zone), id="daily")
    scheduler.start(paused=True)
    try:
        recorder.submit_job(job, [datetime(2026, 1, 1, 2, tzinfo=zone)])
        assert fires() == []
    finally:
        scheduler.shutdown()


def test_a_clock_stops_when_told_to(app: Flask) -> None:
    with running(clock(app, every_second)) as stops:
        until(lambda: len(fires()) >= 1)
        stops[0].set()
        time.sleep(1.5)
        before = len(fires())
        time.sleep(1.5)
        assert len(fires()) == before
