"""What was said and is not in the store yet, as far as it is in memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from typing import NamedTuple

MOST_ENTRIES = 50_000
MOST_BYTES = 32 * 1024 * 1024
LONGEST_WAIT_SECONDS = 1.0
"""How long a thread that logs may be held up when memory is full, once; see ``LogQueue.put``."""
WORTH_SENDING = 5_000
"""So many entries are sent at once, without waiting for more."""
BATCH_BYTES = 8 * 1024 * 1024


class Entry(NamedTuple):
    """One record and its place in the order of its process; the first is 1."""

    sequence: int
    record: bytes


class LogQueue:
    """Entries in order, bounded by their number and their bytes.

    Whoever logs only appends. Entries stay until somebody says that they are safe elsewhere, in
    the store or in a file, so that a batch that failed has never left.
    """

    def __init__(self, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._hopeless = False
        self.sequence = 0
        """Of the last entry that was taken in."""
        self.lost_count = 0
        """Records for which there was no room in time."""
        self.half_full = threading.Event()
        self.worth_sending = threading.Event()

    def put(self, record: bytes) -> bool:
        """Append a record; return whether there was room.

        Microseconds, as a rule. Where memory is full, which means that neither the store nor the
        disk keeps up, it waits for room 1 s at most; once that was in vain the next ones do not
        wait at all until there is room again, so that a dead disk does not slow every message.
        """
        with self._lock:
            if self._full(len(record)) and not self._wait_for_room(len(record)):
                self.lost_count += 1
                return False
            self.sequence += 1
            self._entries.append(Entry(self.sequence, record))
            self._bytes += len(record)
            count = len(self._entries)
            if count % WORTH_SENDING == 0:
                self.worth_sending.set()
            if count * 2 == self._most_entries or self._bytes * 2 > self._most_bytes:
                self.half_full.set()
            return True

    def first(
        self, most_entries: int = WORTH_SENDING, most_bytes: int = BATCH_BYTES
    ) -> list[Entry]:
        """Return the oldest entries, which stay; at least one if there is any."""
        with self._lock:
            entries = list(itertools.islice(self._entries, most_entries))
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry.record)
            if size > most_bytes and count:
                return entries[:count]
        return entries

    def everything(self) -> list[Entry]:
        """Return all entries, which stay."""
        with self._lock:
            return list(self._entries)

    def oldest_sequence(self) -> int | None:
        """Return the place of the oldest entry; None if there is none."""
        with self._lock:
            return self._entries[0].sequence if self._entries else None

    def forget_through(self, sequence: int) -> None:
        """Drop what is safe elsewhere, and let those in who wait for room."""
        with self._lock:
            entries = self._entries
            while entries and entries[0].sequence <= sequence:
                self._bytes -= len(entries.popleft().record)
            self._hopeless = False
            self._room.notify_all()

    def _full(self, size: int) -> bool:
        if not self._entries:
            return False
        return len(self._entries) >= self._most_entries or self._bytes + size > self._most_bytes

    def _wait_for_room(self, size: int) -> bool:
        if self._hopeless:
            return False
        self.half_full.set()
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while self._full(size):
            left = until - time.monotonic()
            if left <= 0 or not self._room.wait(left):
                self._hopeless = self._full(size)
                return not self._hopeless
        return True
