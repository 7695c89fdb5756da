"""Many small instances far away, synced in one run by a real worker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask

from app.constants.runs import Trigger
from app.services.accounts_sync.accounts_sync_service import TASK
from app.services.task_runs.task_runs_service import task_runs_service
from app.worker import run_worker


@dataclass(frozen=True)
class Run:
    """How long a run took, from the request to the end of its last item, by the store's clock."""

    seconds: float
    succeeded: int
    failed: int


@contextmanager
def working(app: Flask) -> Iterator[None]:
    """Have a worker in this process."""
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(app, stop))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def run(instance_ids: Sequence[int], task: str = TASK) -> Run:
    """Ask for a run over these instances and wait for its end."""
    requested = task_runs_service.request(
        task, trigger=Trigger.CLI, parameters={"instance_ids": list(instance_ids)}
    )
    summary = task_runs_service.wait(requested.run_id)
    assert summary.ended_at is not None
    seconds = (summary.ended_at - summary.requested_at).total_seconds()
    return Run(seconds, summary.succeeded_count, summary.failed_count)


@contextmanager
def hung_hosts(count: int) -> Iterator[list[int]]:
    """Open ports that take connections and never answer."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield [one.getsockname()[1] for one in listening]
    finally:
        for one in listening:
            one.close()
