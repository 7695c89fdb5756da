"""What the processes that stay or work say, sent to the log centre."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.constants.partitions import POLICIES
from app.repositories import log_entries, partitions
from app.repositories.log_entries import Row
from app.utils.log_queue import Entry
from app.utils.log_shipping import LogShipper, StoreAway
from app.utils.log_spill import FOLDER, Producer

SESSION = (
    "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"
    " -c timezone=UTC"
)
CLOCK_AHEAD = timedelta(days=2)
"""An entry that is later than this was said by a clock that is wrong."""


@contextmanager
def shipping(settings: Settings) -> Iterator[LogShipper]:
    """Collect what this process says for the time of the block; ``connect`` says where it goes.

    Until then it waits in memory, and is dropped if no store is ever found: it is on the console.
    """
    shipper = LogShipper(settings.log_level)
    if settings.log_to_store:
        shipper.start()
    try:
        yield shipper
    finally:
        shipper.close()


def connect(shipper: LogShipper, settings: Settings, url: str) -> None:
    """Send what was and will be said to the store of this URL, from a thread of its own.

    ``shipper.close()`` has to come before the end of an embedded store.
    """
    if settings.log_to_store:
        writer = LogWriter(settings, url)
        shipper.connect(writer.write, settings.data_dir / FOLDER, hang_up=writer.close)


class LogWriter:
    """Writes batches of entries, on a connection of its own that is opened when there is one."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._engine = create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            pool_recycle=1800,
            connect_args={
                "application_name": "whalefall log",
                "connect_timeout": 5,
                "options": SESSION,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 2,
                "tcp_user_timeout": 20_000,
            },
        )
        self._keep_days = {
            severity: _keep_days(settings, f"log_entries_{severity}")
            for severity in ("info", "warning", "error")
        }

    def write(self, producer: Producer, entries: Sequence[Entry], lost_count: int) -> int:
        """Write those entries that are not in the store yet.

        1. Partitions of their days, if they are missing and not expired; else the default one.
        2. How far this producer's entries have arrived: what is up to there was sent before, by a
           batch of which nobody knew whether it was committed.
        3. COPY, and the new mark, in the same transaction.

        An entry that the store refuses for what is in it is replaced by one that says so.

        Returns:
            The sequence up to which everything is in the store.

        Raises:
            StoreAway: the transaction may have been committed or not.

        """
        return self._write(producer, log_entries.rows_of(entries), lost_count)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _write(self, producer: Producer, rows: Sequence[Row], lost_count: int) -> int:
        try:
            return self._transaction(producer, rows, lost_count)
        except psycopg.DataError as refused:
            if len(rows) == 1:
                said = str(refused.diag.message_primary or refused)
                return self._write(producer, [log_entries.substitute(rows[0], said)], lost_count)
            half = len(rows) // 2
            self._write(producer, rows[:half], lost_count)
            return self._write(producer, rows[half:], lost_count)
        except (psycopg.Error, SQLAlchemyError, OSError) as failure:
            self._engine.dispose()
            reason = getattr(failure, "orig", None) or failure
            raise StoreAway(str(reason).strip().split("\n", 1)[0]) from None

    def _transaction(self, producer: Producer, rows: Sequence[Row], lost_count: int) -> int:
        with self._engine.begin() as connection:
            for table, day in self._days(rows):
                partitions.ensure_partition(connection, table, partitions.day_moment(day))
            producer_id, last_sequence = log_entries.producer_of(connection, producer)
            new = [row for row in rows if row.sequence > last_sequence]
            if new:
                log_entries.write(connection, producer_id, new)
            log_entries.advance(connection, producer_id, rows=new, lost_count=lost_count)
        return max(last_sequence, rows[-1].sequence if rows else 0)

    def _days(self, rows: Sequence[Row]) -> list[tuple[str, date]]:
        now = datetime.now(UTC)
        wanted = set()
        for severity, day in {
            (row.severity_class, row.occurred_at.astimezone(UTC).date()) for row in rows
        }:
            keep = self._keep_days[severity]
            expired = keep is not None and day < (now - timedelta(days=keep)).date()
            if not expired and day <= (now + CLOCK_AHEAD).date():
                wanted.add((f"log_entries_{severity}", day))
        return sorted(wanted)


def _keep_days(settings: Settings, table: str) -> int | None:
    given = settings.retention.get(table)
    return given.days if given and given.days else POLICIES[table].keep_days
