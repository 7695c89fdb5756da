"""Many periods, a few of them in each transaction, none of them the reason why another is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.constants.capacity import Period
from app.models import db
from app.repositories import capacity_rollups
from app.services.task_runs.errors import WaitAbandoned
from app.utils.periods import next_start
from app.utils.run_context import bound_run
from app.utils.structlog_config import get_system_logger

SHORT_SECONDS = 1.5
LONG_SECONDS = 4.0
MOST_AT_ONCE = 32
ERRORS_TOLD = 10

logger = get_system_logger()

Named = tuple[Period, date]
"""A period and its first day."""
Work = Callable[[Connection[Any], Sequence[date]], set[Named]]
"""Computes periods, named by their first days, in a transaction; returns what was computed."""


class ExpiredMeanwhile(Exception):  # noqa: N818 - it is no fault
    """Samples were dropped while they were being read."""


@dataclass
class Outcome:
    """What became of the periods of one kind."""

    done: set[Named] = field(default_factory=set)
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def failure(self, period: Period, start: date, error: Exception) -> None:
        """Count a period that could not be computed, and say why."""
        self.failed += 1
        told = str(error).strip().split("\n", 1)[0] or type(error).__name__
        logger.error(
            "A period could not be computed; its marks stay",
            module="capacity_aggregation",
            period=period.value,
            start_on=start.isoformat(),
            error=told,
        )
        if len(self.errors) < ERRORS_TOLD:
            self.errors.append(f"{period.value} {start.isoformat()}: {told}")


@contextmanager
def transaction() -> Iterator[Connection[Any]]:
    """Begin a transaction in which nobody else computes periods, and commit it."""
    with short_transaction() as connection:
        capacity_rollups.begin(connection)
        yield connection


@contextmanager
def short_transaction() -> Iterator[Connection[Any]]:
    """Begin a transaction, and commit it; an error rolls it back.

    Yields:
        The psycopg connection beneath the session.

    """
    roll_back()
    try:
        connection: Connection[Any] = db.session.connection().connection.driver_connection  # type: ignore[assignment]
        yield connection
        db.session.commit()
    except BaseException:
        roll_back()
        raise


def roll_back() -> None:
    """End the transaction, or give up the connection if it is gone: the next one is another."""
    try:
        db.session.rollback()
    except SQLAlchemyError:
        db.session.invalidate()


def in_batches(period: Period, starts: Sequence[date], work: Work) -> Outcome:
    """Do the work on periods, the oldest first, as many at once as take about a second.

    A batch that fails is done again one by one; what fails then is counted, and the others go on.

    Raises:
        WaitAbandoned: The process is about to end; what is not done keeps its marks.

    """
    outcome = Outcome()
    size = 2
    left = list(starts)
    while left:
        _go_on()
        batch = _first_of(period, left, size)
        del left[: len(batch)]
        started = time.monotonic()
        try:
            with transaction() as connection:
                done = work(connection, batch)
        except (psycopg.Error, ExpiredMeanwhile) as error:
            logger.info(
                "Periods are computed one by one",
                module="capacity_aggregation",
                period=period.value,
                error=str(error).strip(),
            )
            _one_by_one(period, batch, work, outcome)
            continue
        outcome.done |= done
        seconds = time.monotonic() - started
        if seconds < SHORT_SECONDS:
            size = min(size * 2, MOST_AT_ONCE)
        elif seconds > LONG_SECONDS:
            size = max(size // 2, 1)
    return outcome


def _one_by_one(period: Period, batch: Sequence[date], work: Work, outcome: Outcome) -> None:
    for start in batch:
        _go_on()
        try:
            with transaction() as connection:
                done = work(connection, [start])
            outcome.done |= done
        except (psycopg.Error, ExpiredMeanwhile) as error:
            outcome.failure(period, start, error)


def _first_of(period: Period, starts: Sequence[date], size: int) -> list[date]:
    """Return the first few periods that lie near each other: they are read in one go."""
    end = starts[0]
    for _ in range(size):
        end = next_start(period, end)
    return [start for start in starts[:size] if start < end]


def _go_on() -> None:
    run = bound_run()
    if run is not None and run.stop.is_set():
        raise WaitAbandoned


def span(first: date, last: date) -> list[date]:
    """Return every day from the first to the last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
