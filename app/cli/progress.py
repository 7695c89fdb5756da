"""A run while it goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.cli.output import console, say

if TYPE_CHECKING:
    from flask import Flask
    from rich.progress import Progress

    from app.services.task_runs.summaries import RunSummary

_POLL_SECONDS = 0.4
_LINE_EVERY_SECONDS = 5.0


def follow(run_id: int) -> RunSummary:
    """Return the run when it has ended; until then show on standard error how far it is.

    Whoever stops watching does not stop the run.
    """
    try:
        return _watch(run_id)
    except KeyboardInterrupt:
        say(
            f"Run {run_id} goes on without you. Look: whalefall runs show {run_id} --follow; "
            f"end it: whalefall runs cancel {run_id}"
        )
        raise


@contextmanager
def work_done_here(app: Flask) -> Iterator[bool]:
    """Work in this process for the time of the block if no other process does.

    The value says whether it does.
    """
    from app.services.task_runs.workers import worker_is_up

    if worker_is_up():
        yield False
        return
    from app.worker import run_worker

    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(app, stop), name="worker")
    worker.start()
    try:
        yield True
    finally:
        stop.set()
        worker.join()


def _watch(run_id: int) -> RunSummary:
    from app.services.task_runs.task_runs_service import task_runs_service

    out = console(error=True)
    task = None
    said = ""
    said_at = 0.0
    with _bar(shown=out.is_terminal) as bar:
        while True:
            run = task_runs_service.wait(run_id, timeout_seconds=_POLL_SECONDS)
            if out.is_terminal:
                if task is None:
                    task = bar.add_task(run.task, total=None, told="")
                bar.update(
                    task,
                    total=run.item_count if run.planned_at else None,
                    completed=run.ended_count,
                    told=_told(run),
                )
            else:
                now = time.monotonic()
                line = f"run {run.id} {run.state}: {_told(run)}"
                if line != said and (run.ended_at or now - said_at >= _LINE_EVERY_SECONDS):
                    say(line)
                    said, said_at = line, now
            if run.ended_at is not None:
                return run


def _told(run: RunSummary) -> str:
    told = [f"{run.ended_count}/{run.item_count if run.planned_at else '?'} done"]
    for count, word in (
        (run.partial_count, "partial"),
        (run.failed_count, "failed"),
        (run.cancelled_count, "cancelled"),
    ):
        if count:
            told.append(f"{count} {word}")
    return ", ".join(told)


def _bar(*, shown: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        console=console(error=True),
        transient=True,
        disable=not shown,
    )
