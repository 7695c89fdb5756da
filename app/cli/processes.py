"""``whalefall up``, ``scheduler`` and ``worker``: processes that stay until they are stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from app.cli.errors import Exit
from app.cli.output import count, say, when
from app.cli.store import opened, zone
from app.cli.teaching import Command

if TYPE_CHECKING:
    from flask import Flask


@click.command(
    cls=Command,
    examples=["whalefall up", "WHALEFALL_DATA_DIR=~/ledger whalefall up"],
)
def up() -> None:
    """Be everything in one process until Ctrl-C.

    Scheduler and worker on the store: an embedded PostgreSQL in the data directory, or the one that
    WHALEFALL_DATABASE_URL names; its tables are migrated first. More workers, here or on other
    machines, may be added at any time: whalefall worker
    """
    with stoppable() as stop, opened(migrate=True, stays=True) as app:
        from app.worker import run_all

        tell_what_runs(app, "scheduler and worker")
        run_all(app, stop)
    say("Stopped.")


@click.command(cls=Command, examples=["whalefall scheduler"])
def scheduler() -> None:
    """Be the clock that asks for the runs that are due.

    Several may be up: one is the clock, the others take over within seconds when it dies.
    """
    with stoppable() as stop, opened(stays=True) as app:
        from app.scheduler import run_scheduler

        tell_what_runs(app, "scheduler")
        run_scheduler(app, stop)
    say("Stopped.")


@click.command(cls=Command, examples=["whalefall worker"])
def worker() -> None:
    """Do the work that is queued, until Ctrl-C.

    Several may be up, on any number of machines.
    """
    with stoppable() as stop, opened(stays=True) as app:
        from app.worker import run_worker

        tell_what_runs(app, "worker")
        run_worker(app, stop)
    say("Stopped.")


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; a second signal ends the process at once."""
    stop = threading.Event()

    def told(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            # Whatever is left is taken up by the next process; the store is made to survive this.
            os._exit(Exit.INTERRUPTED if number == signal.SIGINT else 128 + number)
        stop.set()
        say("Stopping; what is being read gets some seconds to end. Once more: at once.")

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def tell_what_runs(app: Flask, what: str) -> None:
    """Say what this process is, where its data are and what is due."""
    from app.config import current_settings
    from app.scheduler import announce_jobs
    from app.services.instances.instances_service import instances_service
    from app.services.schedule.schedule_service import schedule_service

    settings = current_settings()
    store = "the server of WHALEFALL_DATABASE_URL" if settings.database_url else settings.store_dir
    say(f"WhaleFall is up: {what} (process {os.getpid()}).")
    say(f"  store  {store}")
    say(f"  keys   {settings.encryption_key_file}, {settings.secret_key_file}")
    announce_jobs(app)
    for job in schedule_service.list_jobs():
        due = "paused" if job.paused else f"next {when(job.next_fire_at, zone())} {zone()}"
        say(f"  job    {job.job_id}  {job.cron}  {due}")
    enabled = len(instances_service.list_instances(state="enabled"))
    say(
        f"  looks after {count(enabled, 'server')}"
        if enabled
        else "  no server yet: whalefall instance add"
    )
