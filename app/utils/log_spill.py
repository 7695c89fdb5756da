"""The file that keeps log entries while the store is away, and what dead processes left in theirs.

One file a process, readable by its owner only, in the folder ``log-spill`` of the data directory.
The first line says whose entries they are; every other one is a sequence, a checksum and a record.
Its process holds a lock on it (flock) as long as it lives, which the kernel lets go of however it
dies: a file that can be locked is one of the dead, and exactly one process loads it.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from app.utils.log_queue import BATCH_BYTES, WORTH_SENDING, Entry

if sys.platform != "win32":
    import fcntl

FOLDER = "log-spill"
SUFFIX = ".entries"
MOST_BYTES = 4 * 1024**3
"""Of one file; then entries stay in memory, and what has no room there is counted as lost."""
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Producer:
    """A process that logs."""

    token: uuid.UUID = field(default_factory=uuid.uuid4)
    host: str = field(default_factory=socket.gethostname)
    process_id: int = field(default_factory=os.getpid)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def header(self) -> bytes:
        """Return the first line of its file."""
        return orjson.dumps(asdict(self), default=str) + b"\n"


class SpillFile:
    """The file of this process: entries go in at the end, and are read from the beginning.

    One thread appends and one reads and forgets. A failed append leaves the file as it was.
    """

    def __init__(
        self, folder: Path, producer: Producer | None = None, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder = folder
        self._producer = producer or Producer()
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._fd = -1
        self._start = 0
        self._read = 0
        self._end = 0
        self.path = folder / f"{self._producer.token}{SUFFIX}"

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries at the end.

        Whoever reads the file after the end of this process finds them, also after kill -9. For the
        end of the machine, call ``sync``.

        Raises:
            OSError: nothing was written: the disk, or what this file may hold, is full.

        """
        lines = b"".join([_line_of(entry) for entry in entries])
        with self._lock:
            if self._fd < 0:
                self._make()
            if self._end + len(lines) > self._most_bytes:
                raise OSError(f"{self.path} holds what it may hold")
            try:
                written = 0
                while written < len(lines):
                    written += os.write(self._fd, memoryview(lines)[written:])
            except OSError:
                os.ftruncate(self._fd, self._end)
                raise
            self._end += len(lines)

    def sync(self) -> None:
        """Have what was appended survive a crash of the machine; may take long, locks nothing."""
        fd = self._fd
        if fd >= 0:
            os.fsync(fd)

    @property
    def unread(self) -> bool:
        """Whether entries are left in it."""
        return self._read < self._end

    def first(self) -> tuple[list[Entry], int, int]:
        """Return (the next entries, where they end, damaged lines); they stay until ``forget``."""
        entries: list[Entry] = []
        damaged, ends_at = 0, self._read
        for line in _lines(self._fd, self._read, self._end):
            ends_at += len(line) + 1
            entry = _entry_of(line)
            if entry is None:
                damaged += 1
            else:
                entries.append(entry)
            if len(entries) >= WORTH_SENDING or ends_at - self._read >= BATCH_BYTES:
                break
        return entries, ends_at, damaged

    def forget(self, ends_at: int) -> None:
        """Go on behind those entries; the file is emptied as soon as nothing is left in it."""
        with self._lock:
            self._read = max(self._read, ends_at)
            if self._fd >= 0 and self._read >= self._end > self._start:
                os.ftruncate(self._fd, self._start)
                self._read = self._end = self._start

    def close(self) -> None:
        """Give the file back: delete it, or leave what is in it to the next process."""
        with self._lock:
            if self._fd < 0:
                return
            if self._read >= self._end:
                self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
            self._read = self._end = self._start = 0

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = self.path.with_suffix(".new")
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _try_lock(fd)
            header = self._producer.header()
            os.write(fd, header)
            unfinished.rename(self.path)  # so that nobody ever sees it without its lock
        except OSError:
            os.close(fd)
            unfinished.unlink(missing_ok=True)
            raise
        self._fd = fd
        self._start = self._read = self._end = len(header)


class OrphanedFile:
    """A file of a dead process, locked by us."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._size = os.fstat(fd).st_size
        header = next(iter(_lines(fd, 0, self._size)), b"")
        self._read = len(header) + 1
        self.producer = _producer_of(header)
        """None: nobody can tell whose entries they are."""

    def batches(self) -> Iterator[tuple[list[Entry], int]]:
        """Give (entries, damaged lines) until the file ends; a line without an end was never said.

        The process died while it wrote that one.
        """
        entries: list[Entry] = []
        damaged = size = 0
        for line in _lines(self._fd, self._read, self._size):
            entry = _entry_of(line)
            if entry is None:
                damaged += 1
            else:
                entries.append(entry)
            size += len(line)
            if len(entries) >= WORTH_SENDING or size >= BATCH_BYTES:
                yield entries, damaged
                entries, damaged, size = [], 0, 0
        if entries or damaged:
            yield entries, damaged

    def delete(self) -> None:
        """Remove it: every entry is in the store."""
        self.path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keep it, under a name that nobody loads: it is not what it should be."""
        self.path.rename(self.path.with_suffix(".unreadable"))


@contextmanager
def orphan(path: Path) -> Iterator[OrphanedFile | None]:
    """Lock a file of a dead process for the time of the block; None if its process lives."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # somebody else has loaded it
        yield None
        return
    try:
        # linked: whoever had it before us may have deleted it since we opened it
        yield OrphanedFile(path, fd) if _try_lock(fd) and os.fstat(fd).st_nlink else None
    finally:
        os.close(fd)


def spilled(folder: Path) -> list[Path]:
    """Return the files with entries, oldest first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # loaded meanwhile
            continue
    return [path for _, path in sorted(found)]


def _try_lock(fd: int) -> bool:
    if sys.platform == "win32":
        return False  # nobody loads what another process left there
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lines(fd: int, start: int, end: int) -> Iterator[bytes]:
    """Give the whole lines between two places of a file, without their ends."""
    rest = b""
    at = start
    while at < end:
        chunk = os.pread(fd, min(_READ_BYTES, end - at), at)
        if not chunk:
            return
        at += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _line_of(entry: Entry) -> bytes:
    sequence = b"%d" % entry.sequence
    return b"%b %08x %b\n" % (
        sequence,
        zlib.crc32(entry.record, zlib.crc32(sequence)),
        entry.record,
    )


def _entry_of(line: bytes) -> Entry | None:
    sequence, _, rest = line.partition(b" ")
    checksum, _, record = rest.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(record, zlib.crc32(sequence)):
        return None
    return Entry(int(sequence), record)


def _producer_of(header: bytes) -> Producer | None:
    try:
        told = orjson.loads(header)
        return Producer(
            token=uuid.UUID(told["token"]),
            host=str(told["host"]),
            process_id=int(told["process_id"]),
            started_at=datetime.fromisoformat(told["started_at"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
