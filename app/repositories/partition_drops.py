"""Whether a partition may go, and dropping it.

How a partition goes, in one transaction, without a row being lost or anybody paying for a
deadlock with us:

1. Lock the partition against writers. While this is waited for nothing is held.
2. Look which rows it has, and whether they may go; export it; write down that they are gone.
   Others may read it all the while.
3. Unless somebody waits for us by now, lock the table, its default partition and the partition
   against everybody, within a time that is shorter than PostgreSQL's deadlock_timeout.
4. Look again whether the rows may go: an aggregation that had begun meanwhile holds a mark.
5. Drop it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection as PsycopgConnection
from sqlalchemy import Connection, RowMapping, text

from app.constants.capacity import Period
from app.constants.partitions import PartitionPolicy
from app.repositories import capacity_expiry
from app.repositories.partition_catalog import Partition, ask, somebody_waits
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
    """Somebody waits for us: to go on could make him the victim of a deadlock."""


def keep_writers_out(connection: Connection, partition: Partition, patience: Patience) -> None:
    """Lock a partition against writers until the end of the transaction."""
    wait_for_locks(connection, f"{patience.first_ms}ms")
    lock(connection, partition.quoted_name, "SHARE")


def keep_everybody_out(connection: Connection, partition: Partition, patience: Patience) -> None:
    """Lock everything that dropping the partition changes, until the end of the transaction.

    Raises:
        SomebodyWaits: it was not tried.

    """
    if somebody_waits(connection):
        raise SomebodyWaits(f"somebody waits for {partition.name}, to write into it")
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
        days = {"days": list(times)}
        rows = ask(connection, "periods_that_are_not_sealed.sql", days)
        told = [_sentence(row["period"], row["start_on"], row["reason"]) for row in rows]
        return told + [
            f"{row['table_name']} still has samples of its days: they have to expire first"
            for row in ask(connection, "samples_of_days.sql", days)
        ]
    moments = [moment for moment in times if isinstance(moment, datetime)]
    day_by_moment = {moment: day_of(moment, zone) for moment in sorted(moments)}
    rows = ask(
        connection,
        "days_around.sql",
        {
            "first_at": min(day_by_moment),
            "last_at": max(day_by_moment),
            "first_on": min(day_by_moment.values()),
            "last_on": max(day_by_moment.values()),
        },
    )
    return [_sentence(Period.DAY, day, why) for day, why in _days_in_the_way(day_by_moment, rows)]


def write_expiry(
    connection: Connection, policy: PartitionPolicy, partition: Partition, span: Span
) -> None:
    """Write down that the rows of a partition are gone, and keep what is needed of them."""
    if not policy.sealed_first:
        return
    driver = _driver_of(connection)
    if policy.of_days:
        capacity_expiry.expire_days(driver, span.lower.date(), span.upper.date())
    else:
        capacity_expiry.expire(driver, policy.table, partition.name, span.lower, span.upper)


def csv_of(connection: Connection, partition: Partition) -> Generator[bytes, None, int]:
    """Yield a partition as CSV with a header; return how many rows that were."""
    statement = f"COPY (SELECT * FROM {partition.quoted_name}) TO STDOUT (FORMAT csv, HEADER)"  # noqa: S608 - quoted by the store
    with _driver_of(connection).cursor() as cursor:
        with cursor.copy(statement.encode()) as copy:
            yield from map(bytes, copy)
        return cursor.rowcount


def drop(connection: Connection, partition: Partition) -> None:
    """Drop a partition, and nothing that depends on it."""
    ddl(connection, f"DROP TABLE {partition.quoted_name}")


def _days_in_the_way(
    day_by_moment: Mapping[datetime, date], rows: Sequence[RowMapping]
) -> list[tuple[date, str]]:
    """Return which days of these moments are not sealed, and why, each once.

    A moment belongs to each aggregated day within whose bounds it lies; that is its own one,
    unless the zone has been another one when it was aggregated.
    """
    marked = {row["start_on"] for row in rows if row["dirty"]}
    aggregated = [row for row in rows if row["starts_at"] is not None]
    known = {row["start_on"] for row in aggregated}
    found: dict[date, str] = {}
    for moment, day in day_by_moment.items():
        if day in found:
            continue
        around = [row for row in aggregated if row["starts_at"] <= moment < row["ends_at"]]
        if day in marked or any(row["dirty"] for row in around):
            found[day] = "it has to be aggregated again"
        elif not around:
            found[day] = (
                "it was aggregated in another time zone" if day in known else "it is not aggregated"
            )
        elif not all(row["sealed"] for row in around):
            found[day] = "it is not sealed yet"
    return sorted(found.items())


def _driver_of(connection: Connection) -> PsycopgConnection[Any]:
    return connection.connection.driver_connection  # type: ignore[return-value]


def _sentence(period: str, start_on: date, reason: str) -> str:
    if period == Period.DAY:
        return f"{start_on.isoformat()}: {reason}"
    return f"the {period} of {start_on.isoformat()}: {reason}"
