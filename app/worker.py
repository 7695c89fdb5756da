"""The queue: how one unit of work is run, whatever it is, in however many processes."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import procrastinate
import psycopg
from flask import Flask
from procrastinate import exceptions as queue_errors
from procrastinate import jobs, manager, retry
from procrastinate import worker as queue_worker

from app.config import current_settings
from app.repositories import queue
from app.scheduler import Register, register_jobs, run_scheduler, task_functions
from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.services.capacity_collection.capacity_collection_service import (
    capacity_collection_service,
)
from app.services.task_runs import sweep
from app.services.task_runs.errors import TryAgainLater
from app.services.task_runs.execution import STORE_LOST, TaskFunction, execute_item, execute_run
from app.services.task_runs.items import Work
from app.utils.structlog_config import get_system_logger

RUNS_AT_ONCE = 8
"""Runs only wait for their items, or are short."""
POLL_SECONDS = 1.0
"""The end of a lock is not notified, so that waiting jobs are found by asking."""
HEARTBEAT_SECONDS = 2.0
SWEEP_SECONDS = 5.0
STOP_SECONDS = 6.0
"""How long items may go on after the process was told to stop; the sweep gives back the rest.

Shorter than a silence that counts as death, for a worker that stops beats no more.
"""
LONGEST_PAUSE_SECONDS = 15.0
RETURN_SECONDS = 2.0

# Planned once, on an empty table, the statement that fetches a job takes seconds at 2,000 jobs.
SESSION_OPTIONS = (
    "-c plan_cache_mode=force_custom_plan -c enable_sort=off"
    " -c idle_in_transaction_session_timeout=10s"
)

T = TypeVar("T")

logger = get_system_logger()


@dataclass(frozen=True)
class Registry:
    """What this version can do: tasks, and the work on one instance, by the task's name."""

    tasks: Mapping[str, TaskFunction]
    item_work: Mapping[str, Work]


@dataclass(frozen=True)
class _Store:
    conninfo: str
    items_at_once: int


def default_registry(app: Flask) -> Registry:
    """Return the tasks of the schedule."""
    return Registry(
        tasks=task_functions(app),
        item_work={
            "collect_capacity": capacity_collection_service.collect_one,
            "sync_accounts": accounts_sync_service.sync_one,
        },
    )


def run_worker(app: Flask, stop: threading.Event, registry: Registry | None = None) -> None:
    """Work until told to stop; survives the absence of the store. Blocks."""
    # What the queue has to say we say ourselves, in a line instead of tracebacks of every layer.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    registry = registry or default_registry(app)
    with app.app_context():
        store = _Store(queue.conninfo(SESSION_OPTIONS), current_settings().worker_threads)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:
        loop.run(_supervise(app, stop, registry, store))


def run_all(
    app: Flask,
    stop: threading.Event,
    registry: Registry | None = None,
    register: Register = register_jobs,
) -> None:
    """Be the clock and a worker in one process until told to stop. Blocks.

    Whichever of the two ends by itself takes the other one with it, and its error is raised here:
    better a process that ends, and is started again, than one that is half alive.
    """
    errors: list[BaseException] = []

    def part(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that started us
            errors.append(error)
        finally:
            stop.set()

    threads = [
        threading.Thread(
            target=part, args=(lambda: run_scheduler(app, stop, register),), name="scheduler"
        ),
        threading.Thread(
            target=part, args=(lambda: run_worker(app, stop, registry),), name="worker"
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # without a time-out, a signal that comes just before it is never seen
    if errors:
        raise errors[0]


async def _supervise(app: Flask, stop: threading.Event, registry: Registry, store: _Store) -> None:
    pause = 1.0
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await _work(app, stop, registry, store)
        except (queue_errors.ConnectorException, psycopg.Error) as lost:
            logger.warning(
                "Worker ended: the store does not answer; it starts again",
                module="worker",
                seconds=pause,
                error=str(lost.__cause__ or lost).strip(),
            )
        except Exception:
            logger.exception("Worker ended; it starts again", module="worker", seconds=pause)
        else:
            if not stop.is_set():
                logger.warning("Worker ended; it starts again", module="worker", seconds=pause)
        if asyncio.get_running_loop().time() - started > 4 * LONGEST_PAUSE_SECONDS:
            pause = 1.0
        await _any_of(stop, within_seconds=pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _work(app: Flask, stop: threading.Event, registry: Registry, store: _Store) -> None:
    """Take jobs of both queues until told to stop, or until something breaks."""
    ending = threading.Event()
    queue_app = _queue_app(app, store.conninfo, registry, ending)
    options: Any = {
        "fetch_job_polling_interval": POLL_SECONDS,
        "update_heartbeat_interval": HEARTBEAT_SECONDS,
        "stalled_worker_timeout": sweep.STALLED_SECONDS,
        "delete_jobs": jobs.DeleteJobCondition.SUCCESSFUL,
        "install_signal_handlers": False,
        "shutdown_graceful_timeout": STOP_SECONDS,
    }
    async with queue_app.open_async():
        workers = [
            _Worker(
                queue_app,
                queues=[queue.RUNS_QUEUE],
                name="runs",
                concurrency=RUNS_AT_ONCE,
                **options,
            ),
            _Worker(
                queue_app,
                queues=[queue.ITEMS_QUEUE],
                name="items",
                concurrency=store.items_at_once,
                **options,
            ),
        ]
        running = [
            asyncio.create_task(worker.run())  # type: ignore[no-untyped-call] # theirs
            for worker in workers
        ]
        side = [
            asyncio.create_task(_any_of(stop, ending)),
            asyncio.create_task(_sweep_until(app, ending)),
        ]
        logger.info("Worker started", module="worker", items_at_once=store.items_at_once)
        try:
            await asyncio.wait([*running, *side], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.set()
            for worker in workers:
                worker.stop()  # type: ignore[no-untyped-call] # theirs
            ended = await asyncio.gather(*running, *side, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
    logger.info("Worker stopped", module="worker")


def _queue_app(
    app: Flask, conninfo: str, registry: Registry, ending: threading.Event
) -> procrastinate.App:
    queue_app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=conninfo,
            kwargs={"application_name": "whalefall worker"},
            min_size=2,
            max_size=6,
        )
    )
    queue_app.job_manager = _Jobs(queue_app.connector)

    @queue_app.task(name=queue.RUN_TASK, pass_context=True, retry=_AsAsked())
    async def run_task(context: procrastinate.JobContext, run_id: int, attempts: int = 0) -> None:
        begun_before = attempts + context.job.attempts
        await _in_thread(
            app,
            _or_later(
                lambda: execute_run(run_id, registry.tasks, attempts=begun_before, stop=ending)
            ),
        )

    @queue_app.task(name=queue.RUN_ITEM, retry=_AsAsked())
    async def run_item(item_id: int) -> None:
        await _in_thread(app, _or_later(lambda: execute_item(item_id, registry.item_work)))

    return queue_app


def _or_later(function: Callable[[], None]) -> Callable[[], None]:
    """Have a job given again if the store was not even there to be told that it failed."""

    def run() -> None:
        try:
            function()
        except STORE_LOST as lost:
            logger.warning(
                "Job left: the store does not answer", module="worker", error=str(lost.__cause__)
            )
            raise TryAgainLater(RETURN_SECONDS) from lost

    return run


class _AsAsked(retry.BaseRetryStrategy):
    """Give a job again when its code asks for it, and only then."""

    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: jobs.Job,  # noqa: ARG002 - the interface
    ) -> retry.RetryDecision | None:
        if not isinstance(exception, TryAgainLater):
            return None
        return retry.RetryDecision(retry_in={"milliseconds": round(exception.seconds * 1000)})


class _Worker(queue_worker.Worker):
    """A worker that ends when its heartbeat or its ear is dead, so that it is started again.

    Procrastinate watches its side tasks until the first of them ends; the one for periodic jobs
    ends at once if there are none (seen with 3.10.0), and nobody watches the heartbeat any more.
    """

    def _start_side_tasks(self) -> list[asyncio.Task[Any]]:
        return [task for task in super()._start_side_tasks() if task.get_name() != "deferrer"]


class _Jobs(manager.JobManager):
    """The queue's own bookkeeping, patient and unsurprised.

    A job that ended must not stay "running" because the store was away for a moment: a living
    worker's jobs are not given back. And a job may have been replaced while its worker was
    frozen.
    """

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        await _patiently(lambda: manager.JobManager.finish_job(self, job, status, delete_job), job)

    async def retry_job(  # type: ignore[override] # called with keywords only
        self, job: jobs.Job, **how: Any
    ) -> None:
        await _patiently(lambda: manager.JobManager.retry_job(self, job, **how), job)


async def _patiently(step: Callable[[], Awaitable[None]], job: jobs.Job) -> None:
    for pause in (0.5, 1, 2, 4, 8, 16, 0):
        try:
            await step()
        except queue_errors.ConnectorException as error:
            if "Job was not found" in str(error.__cause__):
                logger.info("Job was given to another worker", module="worker", job_id=job.id)
                return
            if not pause:
                raise
            await asyncio.sleep(pause)
        else:
            return


async def _in_thread(app: Flask, function: Callable[[], T]) -> T:
    """Run a function in a thread of its own, inside an application context.

    The queue bounds how many there are. A daemon: a hung server must not keep the process from
    ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        def settle_now() -> None:
            if not answer.done():
                set_outcome(outcome)

        if not loop.is_closed():
            loop.call_soon_threadsafe(settle_now)

    def run() -> None:
        try:
            with app.app_context():
                result = function()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            settle(answer.set_exception, error)
        else:
            settle(answer.set_result, result)

    threading.Thread(target=run, daemon=True, name="work").start()
    return await answer


async def _sweep_until(app: Flask, ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            await _in_thread(app, sweep.sweep)
        except STORE_LOST as lost:
            logger.warning(
                "Nothing swept: the store does not answer", module="worker", error=str(lost)
            )
        await _any_of(ending, within_seconds=SWEEP_SECONDS)


async def _any_of(*events: threading.Event, within_seconds: float = math.inf) -> None:
    """Return when one of the events is set, or after so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_seconds
    while loop.time() < deadline and not any(event.is_set() for event in events):
        await asyncio.sleep(0.1)
