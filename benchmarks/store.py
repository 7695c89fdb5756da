"""What the store costs: ``python -m benchmarks.store [--quick] [--only abcd] [--json]``.

It starts servers of its own, measures, stops them, and prints a table in Markdown.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app.constants.capacity import RelationKind
from app.repositories.partitions import ensure_partition
from app.repositories.remote.sizes import SizeOfRelation
from app.repositories.size_samples import copy_relation_sizes
from benchmarks import logging_rows
from benchmarks.report import Bench, Figure, report

FOOTNOTES = """\
Both ways of writing size rows send the same lines by COPY to the same durable server; the plain one
into an unindexed table that is not partitioned. Twenty databases are written one after the other,
as collections do.
"""


def copied_sizes(bench: Bench) -> list[Figure]:
    """(a) Size rows by COPY, against plain COPY of the same lines into an unindexed table."""
    rows, turns = (20_000, 2) if bench.quick else (1_000_000, 3)
    bench.say(f"(a) {rows} size rows")
    moment = datetime.now(UTC)
    made: dict[int, list[tuple[int, int, SizeOfRelation]]] = {
        database: [
            (database, number, _size(number, moment))
            for number in range(database * rows // 20, (database + 1) * rows // 20)
        ]
        for database in range(20)
    }
    seconds: dict[str, list[float]] = {"plain": [], "ledger": []}
    for _ in range(turns):
        with bench.store.fresh() as url:
            _ensure(url, moment)
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                connection.execute("CREATE TABLE plain (LIKE relation_sizes)")
                connection.commit()
                started = perf_counter()
                for part in made.values():
                    copy_relation_sizes(connection, moment, part)
                connection.commit()
                seconds["ledger"].append(perf_counter() - started)
                lines = _lines(connection)
                started = perf_counter()
                with connection.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
                    for chunk in lines:
                        copy.write(chunk)
                connection.commit()
                seconds["plain"].append(perf_counter() - started)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return [
        Figure(f"COPY of {rows:,} size rows into an unindexed table", f"{median['plain']:.2f} s"),
        Figure(
            f"{rows:,} size rows into the ledger, made into lines on the way",
            f"{median['ledger']:.2f} s, {median['ledger'] / median['plain']:.2f} × plain",
        ),
    ]


def _size(number: int, moment: datetime) -> SizeOfRelation:
    return SizeOfRelation(
        key=str(number),
        schema="public",
        name=f"t_{number}",
        kind=RelationKind.TABLE,
        total_bytes=number * 8192,
        data_bytes=number * 4096,
        toast_bytes=0,
        index_bytes=number * 4096,
        row_estimate=number,
        exact_at=moment,
        change_mark=number * 7_919,
    )


def _lines(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Return what the ledger holds as the text that COPY wants, in chunks."""
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY (TABLE relation_sizes) TO STDOUT") as copy,
    ):
        raw = b"".join(bytes(chunk) for chunk in copy)
    return list(_chunks(raw))


def _chunks(raw: bytes, size: int = 256 * 1024) -> Iterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


def _ensure(url: str, moment: datetime) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        ensure_partition(connection, "relation_sizes", moment)
    engine.dispose()


CASES = {
    "a": copied_sizes,
    "b": logging_rows.expired_logs,
    "c": logging_rows.said_messages,
    "d": logging_rows.shipped_million,
}

if __name__ == "__main__":
    report("store", __doc__, CASES, FOOTNOTES)
