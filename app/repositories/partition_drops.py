"""Whether a partition may go, and dropping it.

How a partition goes, in one transaction, without a row being lost or anybody paying for a
deadlock with us:

1. Lock the partition against writers. While this is waited for nothing is held.
2. Look which rows it has, and whether they may go; export it. Others may read it all the while.
3. Unless somebody waits for the partition by now, lock the table, its default partition and the
   partition against everybody, within a time that is shorter than PostgreSQL's deadlock_timeout.
4. Look again whether the rows may go: an aggregation that had begun meanwhile holds a mark.
5. Write down that they are gone, and drop it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection as PsycopgConnection
from sqlalchemy import Connection, text

from app.constants.capacity import Period
from app.constants.partitions import PartitionPolicy
from app.repositories.partition_catalog import Partition, ask, lock_waits, tell
from app.repositories.partitions import (
    Patience,
    Span,
    bound,
    ddl,
    default_of,
    lock,
    wait_for_locks,
)
from app.utils.periods import day_of


class SomebodyWaits(Exception):  # noqa: N818 - it says why this is not the time
    """Somebody waits for the partition: to go on could make him the victim of a deadlock."""


def keep_writers_out(connection: Connection, partition: Partition, patience: Patience) -> None:
    """Lock a partition against writers until the end of the transaction."""
    wait_for_locks(connection, f"{patience.first_ms}ms")
    lock(connection, partition.quoted_name, "SHARE")


def keep_everybody_out(connection: Connection, partition: Partition, patience: Patience) -> None:
    """Lock everything that dropping the partition changes, until the end of the transaction.

    Raises:
        SomebodyWaits: it was not tried.

    """
    if lock_waits(connection, partition.quoted_name):
        raise SomebodyWaits(f"somebody waits to write into {partition.name}")
    wait_for_locks(connection, f"{patience.further_ms}ms")
    lock(connection, f"ONLY {partition.table}", "ACCESS EXCLUSIVE")
    default = default_of(connection, partition.table)
    if default is not None:
        lock(connection, default, "ACCESS EXCLUSIVE")
    lock(connection, partition.quoted_name, "ACCESS EXCLUSIVE")


def times_of(
    connection: Connection, policy: PartitionPolicy, quoted_name: str, span: Span
) -> list[datetime] | list[date]:
    """Return the times within a span of the rows of a table, each once."""
    lower, upper = bound(policy, span.lower), bound(policy, span.upper)
    statement = (
        f"SELECT DISTINCT {policy.column} FROM {quoted_name} "  # noqa: S608 - quoted by the store
        f"WHERE {policy.column} >= '{lower}' AND {policy.column} < '{upper}'"
    )
    return list(connection.scalars(text(statement.replace(":", r"\:"))))


def blockers(
    connection: Connection,
    policy: PartitionPolicy,
    times: Sequence[datetime] | Sequence[date],
    zone: ZoneInfo,
) -> list[str]:
    """Return why rows of these times may not go, a sentence for each period; usually none."""
    if not policy.sealed_first or not times:
        return []
    if policy.of_days:
        rows = ask(connection, "periods_that_are_not_sealed.sql", {"days": list(times)})
        return [_sentence(row["period"], row["start_on"], row["reason"]) for row in rows]
    days = _days(times, zone)
    parameters = {
        "days": list(days),
        "firsts": [first for first, _ in days.values()],
        "lasts": [last for _, last in days.values()],
    }
    rows = ask(connection, "days_that_are_not_sealed.sql", parameters)
    return [_sentence(Period.DAY, row["day"], row["reason"]) for row in rows]


def write_expiry(
    connection: Connection,
    policy: PartitionPolicy,
    times: Sequence[datetime] | Sequence[date],
    zone: ZoneInfo,
) -> None:
    """Write down that rows of these times are gone, so that nothing is computed without them."""
    if not policy.sealed_first or not times:
        return
    if policy.of_days:
        tell(connection, "expire_periods_of_days.sql", {"days": list(times)})
    else:
        tell(connection, "expire_days.sql", {"days": list(_days(times, zone))})


def csv_of(connection: Connection, partition: Partition) -> Generator[bytes, None, int]:
    """Yield a partition as CSV with a header; return how many rows that were."""
    driver: PsycopgConnection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    statement = f"COPY (SELECT * FROM {partition.quoted_name}) TO STDOUT (FORMAT csv, HEADER)"  # noqa: S608 - quoted by the store
    with driver.cursor() as cursor:
        with cursor.copy(statement.encode()) as copy:
            yield from map(bytes, copy)
        return cursor.rowcount


def drop(connection: Connection, partition: Partition) -> None:
    """Drop a partition, and nothing that depends on it."""
    ddl(connection, f"DROP TABLE {partition.quoted_name}")


def _days(
    moments: Sequence[datetime] | Sequence[date], zone: ZoneInfo
) -> dict[date, tuple[datetime, datetime]]:
    """Return the first and the last moment of each local day."""
    days: dict[date, tuple[datetime, datetime]] = {}
    for moment in moments:
        assert isinstance(moment, datetime)  # noqa: S101 - the column of a table of moments
        day = day_of(moment, zone)
        first, last = days.get(day, (moment, moment))
        days[day] = min(first, moment), max(last, moment)
    return days


def _sentence(period: str, start_on: date, reason: str) -> str:
    if period == Period.DAY:
        return f"{start_on.isoformat()}: {reason}"
    return f"the {period} of {start_on.isoformat()}: {reason}"
