"""One target of a run, as the work on it sees it: where it may stop, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sqlalchemy.orm import Session, sessionmaker

from app.constants.runs import State
from app.repositories import task_runs
from app.services.task_runs.closing import close_run_if_complete
from app.services.task_runs.errors import Fenced, RunCancelled

CHECKPOINT_SECONDS = 1.0

__all__ = ["Fenced", "ItemContext", "ItemOutcome", "RunCancelled", "Work", "close_item"]


@dataclass(frozen=True)
class ItemOutcome:
    """How an item ended."""

    state: State
    error_code: str | None = None
    error: str | None = None
    coverage: dict[str, Any] | None = None
    receipt: dict[str, Any] | None = None


@dataclass(frozen=True)
class ItemContext:
    """One attempt at one target of a run."""

    run_id: int
    item_id: int
    instance_id: int
    attempt: int
    task: str
    sessions: sessionmaker[Session] = field(repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    closed: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)
    """Set by close_item, so that nobody has to ask the store whether the work ended its item."""
    _asked_at: list[float] = field(
        default_factory=lambda: [time.monotonic()], repr=False, compare=False
    )

    def checkpoint(self) -> None:
        """Stop here if nobody wants the result any more: raises RunCancelled or Fenced.

        Cheap enough for every scope: it asks the store at most once a second. Any thread may call
        it.
        """
        with self._lock:
            if time.monotonic() - self._asked_at[0] < CHECKPOINT_SECONDS:
                return
            self._asked_at[0] = time.monotonic()
        with self.sessions() as session:
            ours, cancelled = task_runs.may_go_on(session, self.item_id, self.attempt)
        if not ours:
            raise Fenced(f"a newer attempt works on item {self.item_id}")
        if cancelled:
            self.cancel()

    def cancel(self) -> NoReturn:
        """Stop here because a person wants it: raises RunCancelled."""
        raise RunCancelled(f"run {self.run_id} was cancelled")


Work = Callable[[ItemContext], None]
"""What a task does with one target. It closes the item and commits, or raises."""


def close_item(session: Session, item: ItemContext, outcome: ItemOutcome) -> None:
    """End an item in the caller's transaction, and with the last one the run; does not commit.

    1. The item ends only if it is still this attempt's; raises Fenced if it is not.
    2. The run's counters move, which holds the run's row until the caller commits: so do this last.
    3. When they add up, the run gets its final state.
    """
    run_id = task_runs.end_item(
        session,
        item.item_id,
        attempt=item.attempt,
        from_states=(State.RUNNING,),
        state=outcome.state,
        error_code=outcome.error_code,
        error=outcome.error,
        coverage=outcome.coverage,
        receipt=outcome.receipt,
    )
    if run_id is None:
        raise Fenced(f"item {item.item_id} is no longer that of attempt {item.attempt}")
    close_run_if_complete(session, run_id, {outcome.state: 1})
    item.closed.set()
