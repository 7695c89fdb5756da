"""The schedule: every job there is, and the clock that fires them.

A fire does not run anything. It is recorded, with the run and the queue's job, in one
transaction; workers do the rest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import psycopg
from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.config import current_settings
from app.constants.runs import Trigger
from app.repositories import queue
from app.services.schedule.cron import BadCron, cron_of, trigger_of
from app.services.schedule.schedule_service import (
    LATE_SECONDS,
    JobSummary,
    ScheduledJob,
    schedule_service,
)
from app.services.schedule.wall_clock import WallClock
from app.services.task_runs.execution import TaskFunction
from app.tasks.accounts_sync_tasks import sync_accounts
from app.tasks.capacity_aggregation_tasks import run_aggregation
from app.tasks.capacity_collection_tasks import collect_capacity
from app.tasks.log_cleanup_tasks import cleanup_logs
from app.tasks.partition_management_tasks import manage_partitions
from app.utils.structlog_config import get_system_logger

CLOCK_KEY = 0x5748_414C_0001
"""Advisory lock: "WHAL", 1. Who holds it is the clock."""
TICK_SECONDS = 2.0
IDLE_SESSION_TIMEOUT_MS = 8000
"""A frozen clock loses its session, and with it the lock, after this."""
SETTLED_SECONDS = 5.0
"""A moment that passed so long ago and has no record was missed, not just being recorded."""

Register = Callable[[BaseScheduler, Flask], None]

logger = get_system_logger()


def register_jobs(scheduler: BaseScheduler, app: Flask) -> None:  # noqa: ARG001 - the specified signature
    """注册定时任务."""
    # 分区管理 - 每天凌晨 0 点 30 分
    scheduler.add_job(
        func=manage_partitions,
        trigger=CronTrigger(hour=0, minute=30),
        id="partition_management_daily",
        name="每日分区管理",
        replace_existing=True,
    )

    # 容量采集 - 每天凌晨 1 点
    scheduler.add_job(
        func=collect_capacity,
        trigger=CronTrigger(hour=1, minute=0),
        id="capacity_collection_daily",
        name="每日容量采集",
        replace_existing=True,
    )

    # 账户同步 - 每天凌晨 2 点
    scheduler.add_job(
        func=sync_accounts,
        trigger=CronTrigger(hour=2, minute=0),
        id="sync_accounts_daily",
        name="每日账户同步",
        replace_existing=True,
    )

    # 容量聚合 - 每天凌晨 3 点
    scheduler.add_job(
        func=run_aggregation,
        trigger=CronTrigger(hour=3, minute=0),
        id="capacity_aggregation_daily",
        name="每日容量聚合",
        replace_existing=True,
    )

    # 日志清理 - 每天凌晨 4 点
    scheduler.add_job(
        func=cleanup_logs,
        trigger=CronTrigger(hour=4, minute=0),
        id="log_cleanup_daily",
        name="每日日志清理",
        replace_existing=True,
    )


def task_functions(app: Flask, register: Register = register_jobs) -> dict[str, TaskFunction]:
    """Return the tasks of the schedule by name."""
    return {job.func.__name__: job.func for job in _registered(app, register).get_jobs()}


def announce_jobs(
    app: Flask, register: Register = register_jobs, *, forget_others: bool = False
) -> None:
    """Tell the store what the code's schedule is; needed before anybody asks for it."""
    jobs = [
        ScheduledJob(job.id, job.func.__name__, job.name, cron_of(job.trigger))
        for job in _registered(app, register).get_jobs()
    ]
    with app.app_context():
        schedule_service.announce(jobs, forget_others=forget_others)


def run_scheduler(app: Flask, stop: threading.Event, register: Register = register_jobs) -> None:
    """Be the clock, or wait to become it, until told to stop. Blocks.

    Survives the absence of the store.
    """
    with app.app_context():
        conninfo = queue.conninfo(f"-c idle_session_timeout={IDLE_SESSION_TIMEOUT_MS}")
    waiting = False
    while not stop.is_set():
        try:
            with _ClockLock(conninfo) as lock:
                while not stop.is_set() and not lock.take():
                    if not waiting:
                        logger.info("Another process is the clock; waiting", module="scheduler")
                    waiting = True
                    stop.wait(TICK_SECONDS)
                if not stop.is_set():
                    waiting = False
                    _be_the_clock(app, stop, register, lock)
        except (psycopg.Error, SQLAlchemyError) as lost:
            logger.warning("No longer the clock", module="scheduler", error=str(lost).strip())
            stop.wait(TICK_SECONDS)


def _be_the_clock(app: Flask, stop: threading.Event, register: Register, lock: _ClockLock) -> None:
    """Fire what is due for as long as the lock is held.

    1. Start the scheduler, so that no moment lies between the catch-up and its first fire.
    2. Catch up the latest moment of each job that passed while nobody was the clock.
    3. Every two seconds: prove that the lock is still ours, apply what operators changed, and
       catch up what could not be recorded at its time.
    """
    announce_jobs(app, register, forget_others=True)
    recorder = FireRecorder(app)
    scheduler = _registered(app, register, recorder)
    code_triggers = {job.id: job.trigger for job in scheduler.get_jobs()}
    applied: dict[str, tuple[str | None, bool]] = {}
    logger.info("This process is the clock", module="scheduler")
    with app.app_context():
        _apply(scheduler, code_triggers, applied)
    scheduler.start()
    try:
        settled_seconds = 0.0
        while True:
            with app.app_context():
                _apply(scheduler, code_triggers, applied)
                schedule_service.catch_up(
                    until=datetime.now(UTC) - timedelta(seconds=settled_seconds)
                )
            settled_seconds = SETTLED_SECONDS
            if stop.wait(TICK_SECONDS):
                return
            lock.prove()
    finally:
        recorder.silence()
        scheduler.shutdown(wait=False)


def _registered(
    app: Flask, register: Register, executor: BaseExecutor | None = None
) -> BackgroundScheduler:
    """Return a scheduler, not started, that holds the code's jobs in the configured zone."""
    with app.app_context():
        zone = current_settings().zone
    scheduler = BackgroundScheduler(
        timezone=zone,
        executors={"default": executor} if executor else {},
        job_defaults={"coalesce": True, "misfire_grace_time": None},
    )
    register(scheduler, app)
    for job in scheduler.get_jobs():
        # a trigger made without a zone has taken that of the machine
        job.modify(trigger=WallClock(job.trigger, zone))
    return scheduler


def _apply(
    scheduler: BackgroundScheduler,
    code_triggers: dict[str, WallClock],
    applied: dict[str, tuple[str | None, bool]],
) -> None:
    for job in schedule_service.list_jobs():
        if job.job_id not in code_triggers:
            continue  # of another version of the code
        wanted = (job.cron if job.overridden else None, job.paused)
        if applied.get(job.job_id, (None, False)) == wanted:
            continue
        trigger = _trigger_in_effect(job, code_triggers[job.job_id])
        scheduler.modify_job(job.job_id, trigger=trigger)
        if job.paused:
            scheduler.pause_job(job.job_id)
        else:
            scheduler.resume_job(job.job_id)
        applied[job.job_id] = wanted
        logger.info(
            "Schedule changed",
            module="scheduler",
            job_id=job.job_id,
            cron=job.cron,
            paused=job.paused,
            by=job.updated_by,
        )


def _trigger_in_effect(job: JobSummary, of_code: WallClock) -> WallClock:
    if not job.overridden:
        return of_code
    try:
        return trigger_of(job.cron, of_code.timezone)
    except BadCron:
        logger.exception(
            "The code's schedule stays in effect", module="scheduler", job_id=job.job_id
        )
        return of_code


class FireRecorder(BaseExecutor):  # type: ignore[misc] # APScheduler ships no types
    """Records fires instead of running jobs."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._app = app
        self._silent = threading.Event()

    def silence(self) -> None:
        """Record nothing from now on: another process may be the clock."""
        self._silent.set()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        scheduled_at = run_times[-1]
        if not self._silent.is_set():
            self._record(job, scheduled_at)
        # nothing runs here, so that the next fire never waits for this one
        self._run_job_success(
            job.id, [JobExecutionEvent(EVENT_JOB_EXECUTED, job.id, "default", scheduled_at)]
        )

    def _record(self, job: Job, scheduled_at: datetime) -> None:
        late_seconds = time.time() - scheduled_at.timestamp()
        with self._app.app_context():
            if late_seconds > current_settings().catch_up_grace_hours * 3600:
                logger.warning("Fire missed", module="scheduler", job_id=job.id, late=late_seconds)
                return
            trigger = Trigger.CATCH_UP if late_seconds > LATE_SECONDS else Trigger.SCHEDULE
            try:
                schedule_service.fire(job.id, job.func.__name__, scheduled_at, trigger)
            except SQLAlchemyError:
                # the next look at what was missed records it, here or wherever the clock is then
                logger.exception("Fire not recorded", module="scheduler", job_id=job.id)


class _ClockLock:
    """The advisory lock of the clock, on a session of its own that must not go through a pooler."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def __enter__(self) -> Self:
        self._connection = psycopg.connect(
            self._conninfo,
            autocommit=True,
            application_name="whalefall clock",
            connect_timeout=5,
            keepalives_idle=4,
            keepalives_interval=2,
            keepalives_count=2,
            tcp_user_timeout=IDLE_SESSION_TIMEOUT_MS,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def take(self) -> bool:
        """Return whether this process is the clock now."""
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [CLOCK_KEY]).fetchone()
        return row is not None and bool(row[0])

    def prove(self) -> None:
        """Raise psycopg.Error if the session, and with it the lock, is gone."""
        self._connection.execute("SELECT 1")


logging.getLogger("apscheduler").setLevel(logging.WARNING)


__all__ = [
    "Register",
    "announce_jobs",
    "register_jobs",
    "run_scheduler",
    "task_functions",
]
