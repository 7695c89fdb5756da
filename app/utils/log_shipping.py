"""Sends what this process says to the store, and nobody who says something waits for it.

Whoever logs appends to a queue in memory. One thread sends batches to the store. Another one moves
to a file what has waited too long, because the store is away or slow: from then on the way is
file first, queue second, until the file is empty, so that the order never changes.

What a process said in its last second before kill -9 is lost, or in its last three if the store
went away just then. Nothing else is, unless memory, store and disk all refuse it: that is counted.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.utils.log_queue import Entry, LogQueue
from app.utils.log_records import record_of
from app.utils.log_spill import Producer, SpillFile, orphan, spilled
from app.utils.structlog_config import get_system_logger, send_events_to

FLUSH_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""How often entries are looked for that should be in the file."""
CLOSE_SECONDS = 5.0
"""How long the end of a process may wait for the store; then the file keeps the rest."""
ORPHANS_EVERY_SECONDS = 60.0
TELL_EVERY_SECONDS = 60.0
_PAUSES = (0.5, 1.0, 2.0, 5.0)

Write = Callable[[Producer, Sequence[Entry], int], int]
"""Writes those entries of a producer that are not in the store yet, and how many of its were lost;
returns the sequence up to which all are there now. Raises StoreAway."""

logger = get_system_logger()

_ours = threading.local()


class StoreAway(Exception):  # noqa: N818 - a state of the world
    """The store took nothing, or nobody knows whether it did: send the same batch again."""


class LogShipper:
    """Takes the events of this process from its start on; sends them once it is connected."""

    def __init__(self, level: str, queue: LogQueue | None = None) -> None:
        self.producer = Producer()
        self.queue = queue or LogQueue()
        self._level = level
        self._file: SpillFile | None = None
        self._write: Write | None = None
        self._folder: Path | None = None
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._hang_up: Callable[[], None] = lambda: None
        self._threads: list[threading.Thread] = []
        self._away_since: float | None = None
        self._told_at = -TELL_EVERY_SECONDS
        self._from_file = 0
        self._lost_before = 0
        self._damaged = 0

    def start(self) -> None:
        """Take in every event from now on; they wait in memory."""
        send_events_to(self.take, self._level)
        atexit.register(self.close)

    def take(self, event: Mapping[str, Any]) -> None:
        """Append a redacted event; what the sending itself says is only for the console."""
        if not getattr(_ours, "quiet", False):
            self.queue.put(record_of(event))

    def connect(
        self, write: Write, folder: Path, hang_up: Callable[[], None] = lambda: None
    ) -> None:
        """Send from now on; what the store does not take lies in the folder meanwhile.

        ``hang_up`` is called when nothing will be written any more.
        """
        self._write = write
        self._hang_up = hang_up
        self._folder = folder
        self._file = SpillFile(folder, self.producer)
        for loop in (self._send_loop, self._spill_loop):
            thread = threading.Thread(target=_quietly, args=(loop,), name="logs", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Send what is left, or leave it in the file for the next process; returns in time.

        What is said afterwards is on the console only.
        """
        atexit.unregister(self.close)
        if self._closing.is_set():
            return
        self._closing.set()
        self.queue.worth_sending.set()
        self.queue.half_full.set()
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.2, until - time.monotonic()))
        self._abandoned.set()
        send_events_to(None, self._level, only_if=self.take)
        if self._file is not None:
            if not self._threads[1].is_alive():  # else the disk hangs
                self._keep_the_rest(self._file)
            self._file.close()
        if not any(thread.is_alive() for thread in self._threads):
            self._hang_up()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything that was said before is in the store; return whether it is."""
        until = time.monotonic() + timeout_seconds
        wanted = self.queue.sequence
        while self._pending(wanted):
            if time.monotonic() > until:
                return False
            self.queue.worth_sending.set()
            time.sleep(0.02)
        return True

    def _pending(self, wanted: int) -> bool:
        oldest = self.queue.oldest_sequence()
        in_memory = oldest is not None and oldest <= wanted
        return in_memory or (self._file is not None and self._file.unread)

    # The sending thread ------------------------------------------------------------------------

    def _send_loop(self) -> None:
        failures = 0
        orphans_at = 0.0
        while not self._abandoned.is_set():
            try:
                if time.monotonic() >= orphans_at and not self._closing.is_set():
                    self._load_orphans()
                    orphans_at = time.monotonic() + ORPHANS_EVERY_SECONDS
                sent = self._send_next()
            except StoreAway as away:
                if self._abandoned.is_set():
                    return
                self._note_absence(away)
                if self._closing.is_set():
                    return
                self._closing.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                continue
            except Exception:
                # nothing may end this thread; what could not be sent stays where it is
                logger.exception("Log entries could not be sent", module="log_centre")
                if self._closing.is_set():
                    return
                self._closing.wait(_PAUSES[-1])
                continue
            failures = 0
            if sent:
                continue
            self._note_return()
            if self._closing.is_set() and not self._pending(self.queue.sequence):
                return
            self.queue.worth_sending.wait(FLUSH_SECONDS)
            self.queue.worth_sending.clear()

    def _send_next(self) -> bool:
        """Send the oldest batch; return whether there was one."""
        file = self._file
        if file is not None and file.unread:
            entries, ends_at, damaged = file.first()
            arrived = self._send(self.producer, entries, self._lost() + damaged)
            if entries and arrived < entries[-1].sequence:
                return True  # the same once more; what has arrived is known by its sequence
            self._damaged += damaged
            self._from_file += len(entries)
            file.forget(ends_at)
            return True
        entries = self.queue.first()
        if not entries:
            return False
        self.queue.forget_through(self._send(self.producer, entries, self._lost()))
        return True

    def _send(self, producer: Producer, entries: Sequence[Entry], lost_count: int) -> int:
        if self._write is None:
            raise StoreAway("not connected")
        return self._write(producer, entries, lost_count)

    def _lost(self) -> int:
        return self.queue.lost_count + self._damaged

    def _load_orphans(self) -> None:
        """Load what dead processes left, oldest first; each file by one process, and once."""
        if self._folder is None:
            return
        for path in spilled(self._folder):
            if self._closing.is_set():
                return
            with orphan(path) as found:
                if found is None:
                    continue
                if found.producer is None:
                    found.set_aside()
                    _say("A file of log entries is damaged; it was set aside", file=found.path.name)
                    continue
                loaded = lost = 0
                for entries, damaged in found.batches():
                    lost += damaged
                    self._send(found.producer, entries, lost)
                    loaded += len(entries)
                found.delete()
            if loaded or lost:
                _say(
                    "Log entries of a process that died were loaded",
                    entries=loaded,
                    damaged=lost,
                    host=found.producer.host,
                    process_id=found.producer.process_id,
                )

    def _note_absence(self, away: StoreAway) -> None:
        """Tell the console, once an absence and never more than once a minute."""
        if self._away_since is not None:
            return
        self._away_since = time.monotonic()
        self._lost_before = self._lost()
        if self._away_since - self._told_at >= TELL_EVERY_SECONDS:
            self._told_at = self._away_since
            logger.warning(
                "The log centre does not answer; a file keeps what is said meanwhile",
                module="log_centre",
                error=str(away),
            )

    def _note_return(self) -> None:
        """Once everything has arrived, leave one entry about the absence."""
        if self._away_since is None or (self._file is not None and self._file.unread):
            return
        seconds = time.monotonic() - self._away_since
        self._away_since = None
        _say(
            "The store was away; its log entries were kept and have arrived",
            seconds=round(seconds, 1),
            entries_from_file=self._from_file,
            lost_count=self._lost() - self._lost_before,
        )
        self._from_file = 0

    # The thread that keeps the file ------------------------------------------------------------

    def _spill_loop(self) -> None:
        """Move to the file what the store did not take in time, or what crowds the memory.

        In time: before the second look after it was said; if the store is known to be away, before
        the next one.
        """
        seen, seen_before = 0, 0
        told, unsynced = False, False
        while not self._closing.is_set():
            crowded = self.queue.half_full.wait(LOOK_SECONDS)
            if self._closing.is_set():
                return  # what is left is looked after by whoever closes
            self.queue.half_full.clear()
            oldest = self.queue.oldest_sequence()
            late = oldest is not None and (oldest <= seen_before or self._away_since is not None)
            try:
                if self._file is not None and (crowded or late):
                    self._spill(self._file)
                    unsynced = True
                if self._file is not None and unsynced and not crowded:
                    self._file.sync()  # in a calm second: whoever speaks may need room meanwhile
                    unsynced = False
                told = False
            except OSError as failure:
                if not told:
                    logger.error(  # noqa: TRY400 - the traceback would say nothing
                        "Log entries cannot be kept in a file; they stay in memory",
                        module="log_centre",
                        error=str(failure),
                    )
                told = True
                self._closing.wait(LOOK_SECONDS)
            if not crowded:
                seen, seen_before = self.queue.sequence, seen

    def _keep_the_rest(self, file: SpillFile) -> None:
        try:
            self._spill(file)
        except OSError as failure:
            logger.error(  # noqa: TRY400 - the traceback would say nothing
                "Log entries are lost: neither the store nor the disk takes them",
                module="log_centre",
                entries=len(self.queue.everything()),
                error=str(failure),
            )

    def _spill(self, file: SpillFile) -> None:
        """Move what is in memory to the end of the file."""
        entries = self.queue.everything()
        if entries:
            file.append(entries)
            self.queue.forget_through(entries[-1].sequence)


def _quietly(loop: Callable[[], None]) -> None:
    """Run a loop whose own messages, and those of the libraries that it uses, are not shipped."""
    _ours.quiet = True
    loop()


def _say(event: str, **fields: Any) -> None:
    """Say something about the sending that is worth an entry of its own."""
    _ours.quiet = False
    try:
        logger.warning(event, module="log_centre", **fields)
    finally:
        _ours.quiet = True
