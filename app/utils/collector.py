"""How often Python looks for cyclic garbage while something large is being built."""

from __future__ import annotations

import gc
import threading
from contextlib import ContextDecorator
from types import TracebackType

_RARELY = (50_000, 20, 100)


class CollectedRarely(ContextDecorator):
    """A block, or a function, that makes many objects and no cycles.

    With the usual thresholds the collector walks through all of them again and again: two thirds
    of the time of a first sync. While anybody in the process is inside such a block it works
    rarely, but it works.
    """

    _lock = threading.Lock()
    _inside = 0
    _usual: tuple[int, int, int] = (0, 0, 0)

    def __enter__(self) -> None:
        """Begin."""
        cls = CollectedRarely
        with cls._lock:
            if not cls._inside:
                cls._usual = gc.get_threshold()
                gc.set_threshold(*_RARELY)
            cls._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; the last one to leave puts the usual thresholds back."""
        cls = CollectedRarely
        with cls._lock:
            cls._inside -= 1
            if not cls._inside:
                gc.set_threshold(*cls._usual)
