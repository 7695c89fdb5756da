"""Which task run the present thread works for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BoundRun:
    """The run on whose behalf a task function has been called."""

    run_id: int
    task: str
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the process is about to end: whoever only waits stops waiting."""


_bound: ContextVar[BoundRun | None] = ContextVar("whalefall_run", default=None)


def bound_run() -> BoundRun | None:
    """Return the run of this thread; None if somebody called the task function directly."""
    return _bound.get()


@contextmanager
def run_bound(run: BoundRun) -> Iterator[None]:
    """Bind a run to this thread for the time of the block."""
    token = _bound.set(run)
    try:
        yield
    finally:
        _bound.reset(token)
