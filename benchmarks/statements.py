"""What a sync costs the store, counted there: statements by its log, rows by its statistics."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.models import db
from benchmarks.servers import StoreServer

_STATEMENT = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] whalefall LOG:  (statement|execute \S+): ", re.MULTILINE
)


@dataclass
class Cost:
    """Of what happened inside a block."""

    statements: int = 0
    """Every statement that the application sent, BEGIN and COMMIT included."""
    rows_written: int = 0
    """Inserted, updated and deleted, in all tables of the store."""


@contextmanager
def counted(store: StoreServer, url: str) -> Iterator[Cost]:
    """Count statements and written rows of the application in this block.

    New connections log every statement (``log_statement``), so the application's old ones are
    closed first; its new ones in the end, which makes them report what they wrote.
    """
    database = url.split("@/")[1].split("?")[0]
    logs = store.server.directory / "log"
    cost = Cost()
    db.session.close()
    db.engine.dispose()
    store.run(f"ALTER DATABASE {database} SET log_statement = 'all'")
    rows_before = _rows_written(url)
    size_before = _sizes(logs)
    try:
        yield cost
    finally:
        db.session.close()
        db.engine.dispose()
        store.run(f"ALTER DATABASE {database} RESET log_statement")
        cost.rows_written = _rows_written(url) - rows_before
        cost.statements = len(_STATEMENT.findall(_new_lines(logs, size_before)))


def _rows_written(url: str) -> int:
    """Return the sum of the statistics once it has stopped moving: sessions report as they end."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        seen = [-1]
        while len(seen) < 3 or len(set(seen[-3:])) > 1:
            time.sleep(0.2)
            connection.execute("SELECT pg_stat_clear_snapshot()")
            row = connection.execute(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)"
                " FROM pg_stat_user_tables"
            ).fetchone()
            assert row is not None
            seen.append(int(row[0]))
    return seen[-1]


def _sizes(logs: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in logs.glob("*.log")}


def _new_lines(logs: Path, before: dict[Path, int]) -> str:
    """Return what was logged since, once the collector, a process of its own, rests."""
    after = _sizes(logs)
    while True:
        time.sleep(0.3)
        again = _sizes(logs)
        if again == after:
            break
        after = again
    told = [path.read_bytes()[before.get(path, 0) :] for path in after]
    return b"".join(told).decode(errors="replace")
