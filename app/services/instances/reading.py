"""Read several things of one instance at once, and whatever failed for a moment once more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from app.repositories.remote.facts import ReadError

_RETRY_AFTER_SECONDS = 0.5

T = TypeVar("T")


def twice_if_it_passes(read: Callable[[], T]) -> T:
    """Return what was read; an error that may pass is given a second chance."""
    try:
        return read()
    except ReadError as error:
        if not error.transient:
            raise
        time.sleep(_RETRY_AFTER_SECONDS)
        return read()


@contextmanager
def several_at_once(
    reads: Iterator[Callable[[], T]], *, at_once: int, checkpoint: Callable[[], None]
) -> Iterator[Iterator[T]]:
    """Begin to call the reads in threads, at most ``at_once`` of them at a time.

    Yields their results as they end; the first ones are read while the caller still does something
    else. A result that nobody has taken yet holds its place, so that memory stays bounded by
    ``at_once``. Taking one raises what ``checkpoint`` raises. ``reads`` itself is advanced in the
    caller's thread.
    """
    running: set[Future[T]] = set()
    with ThreadPoolExecutor(at_once, thread_name_prefix="read-database") as pool:

        def fill_up() -> None:
            while len(running) < at_once and (following := next(reads, None)) is not None:
                running.add(pool.submit(following))

        def results() -> Iterator[T]:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                running.difference_update(done)
                for future in done:
                    yield future.result()
                checkpoint()
                fill_up()

        try:
            fill_up()
            yield results()
        finally:
            for future in running:
                future.cancel()
