from __future__ import annotations

from app.utils.refusal import NotFound, Refused


class UnknownRun(NotFound):
    """There is no run of this number."""


class RunActive(Refused):
    """A run of the same task has not ended yet."""


class RunEnded(Refused):
    """The run has ended, so that nothing can be done to it."""


class NothingToRetry(Refused):
    """No item of the run failed."""


class Fenced(Exception):  # noqa: N818 - it says what happened to whoever catches it: nobody but the executor
    """A newer attempt works on this item: what this one would write is refused."""


class RunCancelled(Exception):  # noqa: N818 - a person's wish
    """The run was cancelled."""


class TryAgainLater(Exception):  # noqa: N818 - an instruction to the queue
    """The same job shall be given again after a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:.1f} s")
        self.seconds = seconds


class WaitAbandoned(BaseException):
    """The process ends; the run goes on without anybody who waits for it."""
