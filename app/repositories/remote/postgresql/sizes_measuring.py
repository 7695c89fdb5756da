"""Measuring one thing after the other, so that one that cannot be measured never loses another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.postgresql.copy_text import rows
from app.repositories.remote.postgresql.session import Session
from app.repositories.remote.sizes import Checkpoint

CHUNK = 2000
"""How many are asked for in one statement."""
CHUNK_SECONDS = 5.0
"""After how long a statement begins no further one: nobody waits longer to be cancelled."""
HOPELESS = 3
"""After how many failures without a success before the fault is not with what is measured."""

_ITS_OWN = frozenset({FailureKind.STATEMENT_TIMEOUT, FailureKind.LOCKED, FailureKind.NO_DATABASE})
GONE, DENIED, LOCKED, LATER, SIZED = "gone", "denied", "locked", "later", "sized"
"""What the ``.sql`` files say of each."""


class Measured(NamedTuple):
    """What one thing answered."""

    key: str
    state: str
    """One of the words above; LATER never comes out."""
    fields: list[str | None]
    """What the statement says beyond key and state."""
    error: ReadError | None = None
    """Why measuring it failed, whatever the state."""


def measure(
    session: Session,
    name: str,
    keys: Sequence[str],
    checkpoint: Checkpoint,
    seconds_left: Callable[[], float] | None = None,
) -> Iterator[Measured]:
    """Yield what ``<name>.sql`` says of each key, in order, until no time is left.

    The first one is always measured, so that there is progress however short the time.

    1. One statement answers for many, in order, and stops by itself after CHUNK_SECONDS.
    2. If it fails, what it had sent before counts, and the first that is missing is the one that
       failed. It gets a second chance as the first of the next statement, with all of the
       statement's time; the second failure is its own.
    3. If the first few all fail, and not for want of time or a lock, it is no fault of theirs:
       the failure is raised.
    """
    done = failures = successes = 0
    while done < len(keys):
        chunk = keys[done : done + CHUNK]
        seconds = min(CHUNK_SECONDS, session.target.statement_timeout_seconds / 2)
        if seconds_left is not None:
            seconds = min(seconds, seconds_left())
        given = {"list": ",".join(chunk), "time": f"{seconds:.3f} s"}
        raw, error = session.copy_rows(name, given)
        answered = 0
        for key, state, *fields in rows(raw, session.encoding):
            if state == LATER:
                break
            answered += 1
            yield Measured(str(key), str(state), fields)
        if error is not None and answered == 0:
            failures += error.kind not in _ITS_OWN
            if failures == HOPELESS and not successes:
                raise error
            yield Measured(chunk[0], SIZED, [], error)
            answered = 1
        elif answered == 0:
            raise ReadError(FailureKind.QUERY, f"{name}: the server left out what it was asked for")
        else:
            successes += answered
        done += answered
        if seconds_left is not None and seconds_left() <= 0:
            return
        checkpoint()
