"""A partition as a compressed file, before it is dropped."""

from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from app.repositories.partition_catalog import Partition, count_rows
from app.repositories.partition_drops import csv_of
from app.repositories.partitions import Span


class ExportFailed(Exception):  # noqa: N818 - how it ended
    """A partition could not be written to a file; it must not be dropped."""


@dataclass
class Export:
    """A file that has been written and has not got its name yet."""

    part: Path
    directory: Path
    name: str
    rows: int

    def publish(self) -> Path:
        """Give the file its name; one of the same name stays, and this one gets a number."""
        names = (f"{self.name}.{number}.csv.gz" for number in itertools.count(2))
        for name in itertools.chain([f"{self.name}.csv.gz"], names):
            wanted = self.directory / name
            try:
                if wanted.exists():
                    continue
                self.part.rename(wanted)
                _sync_directory(self.directory)
            except OSError as error:
                raise ExportFailed(f"the export to {self.directory} failed: {error}") from error
            return wanted
        raise AssertionError  # counting never ends


@contextmanager
def exported(connection: Connection, partition: Partition, directory: Path) -> Iterator[Export]:
    """Write a partition, which nobody may write to meanwhile, to a file that is on the disk.

    The file is removed again unless it is published in the block.

    Raises:
        ExportFailed: it could not be written, or holds another number of rows than the partition.

    """
    assert partition.span is not None  # noqa: S101 - the default partition never expires
    times = (moment.strftime("%Y%m%dT%H%M%SZ") for moment in _edges(partition.span))
    name = f"{partition.name}__{'-'.join(times)}"
    part = directory / f".{name}.{os.getpid()}.part"
    try:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            rows = _write(part, csv_of(connection, partition))
        except OSError as error:
            raise ExportFailed(f"the export to {directory} failed: {error}") from error
        there = count_rows(connection, partition.quoted_name)
        if rows != there:
            raise ExportFailed(f"{rows} rows were exported, but there are {there}")
        yield Export(part, directory, name, rows)
    finally:
        with suppress(OSError):  # what is left of it is called .part, and the next one replaces it
            part.unlink(missing_ok=True)


def _edges(span: Span) -> tuple[datetime, datetime]:
    return span.lower.astimezone(UTC), span.upper.astimezone(UTC)


def _write(path: Path, csv: Generator[bytes, None, int]) -> int:
    """Write chunks to a compressed file, wait until it is on the disk; return the rows."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=3) as compressed,
    ):
        while True:
            try:
                compressed.write(next(csv))
            except StopIteration as end:
                rows: int = end.value
                break
        compressed.close()
        file.flush()
        os.fsync(file.fileno())
    return rows


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
