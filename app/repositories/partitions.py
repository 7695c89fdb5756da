"""Partitions of the store's time series: what they are called, and making one that is missing.

How a partition is made so that nobody is hurt, in one transaction:

1. Only one creator at a time, so that two of them never wait for each other's tables.
2. Lock the table against writers: one who had chosen the default partition already would be
   refused once it is no longer the right one. While this is waited for nothing is held.
3. Lock the default partition, within a time that is shorter than PostgreSQL's deadlock_timeout:
   whoever is in a deadlock with us never pays for it.
4. Move rows of that time out of the default partition, and attach.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.constants.partitions import POLICIES, PartitionPolicy, Step
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()

EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 1, 1, tzinfo=UTC)
"""Partitions are made for moments from the one until before the other."""
RETRY_SECONDS = 30.0
"""How long a writer leaves rows to the default partition before it tries again to make another."""

_seen: set[tuple[str, str]] = set()
_not_before: dict[tuple[str, str], float] = {}
_memory_lock = threading.Lock()


class NameTaken(Exception):  # noqa: N818 - it says what is the matter with a name
    """Something else is called as the partition should be."""


@dataclass(frozen=True, order=True)
class Span:
    """A time: from the one moment until before the other."""

    lower: datetime
    upper: datetime

    def __contains__(self, moment: datetime) -> bool:
        """Tell whether the moment lies in it."""
        return self.lower <= moment < self.upper


@dataclass(frozen=True)
class Patience:
    """How long we wait for locks; whoever wants the same comes after us and waits as well."""

    first_ms: int = 1000
    """For the first lock, while nothing is held."""
    further_ms: int = 250
    """For each of those after it: together less than PostgreSQL's deadlock_timeout."""
    pauses_seconds: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Between the attempts; without a lock."""


OF_WRITERS = Patience(first_ms=100, further_ms=50, pauses_seconds=())


def span_of(step: Step, moment: datetime) -> Span:
    """Return the time, in whole steps of UTC, that the partition of the moment holds."""
    first = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if step is Step.DAY:
        return Span(first, first + timedelta(days=1))
    if step is Step.MONTH:
        first = first.replace(day=1)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return Span(first, following)
    first = first.replace(month=1, day=1)
    return Span(first, first.replace(year=first.year + 1))


def bounds_of(step: Step, moment: datetime) -> tuple[datetime, datetime]:
    """Return the first instant of the moment's step and of the next one, in UTC."""
    span = span_of(step, moment)
    return span.lower, span.upper


def partition_name(table: str, moment: datetime) -> str:
    """Return the partition that holds the moment, for example account_changes_2026_01."""
    step = POLICIES[table].step
    return name_of(table, step, span_of(step, moment))


def name_of(table: str, step: Step, span: Span) -> str:
    """Return what the partition of a time is called, which may be only a part of a step."""
    whole = span_of(step, span.lower)
    first = whole.lower
    parts = [f"{first.year:04}", f"{first.month:02}", f"{first.day:02}"]
    name = "_".join([table, *parts[: [Step.YEAR, Step.MONTH, Step.DAY].index(step) + 1]])
    if span == whole:
        return name
    return f"{name}_from_{span.lower.astimezone(UTC):%m%d%H%M%S}"


def day_moment(day: date) -> datetime:
    """Return the moment by which the partition of a day's rows is found, for tables of days."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def spans_ahead(policy: PartitionPolicy, moment: datetime) -> Iterator[Span]:
    """Yield the present partition's time and those that should exist beyond it."""
    wanted = moment
    for _ in range(policy.ahead + 1):
        span = span_of(policy.step, wanted)
        yield span
        wanted = span.upper


def ahead(moment: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield, for every table, a moment of each partition that should exist now."""
    for policy in POLICIES.values():
        for span in spans_ahead(policy, moment):
            yield policy.table, span.lower


def ensure_partition(connection: Connection, table: str, moment: datetime) -> None:
    """Make the partition of the moment if it is missing; free when seen before.

    The work belongs to the caller's transaction. Where it cannot be done at once the caller is not
    kept waiting: the default partition takes the rows, and partition management moves them.
    """
    if not EARLIEST <= moment < LATEST:
        return
    name = partition_name(table, moment)
    key = (str(connection.engine.url), name)
    if key in _seen or _not_before.get(key, 0.0) > time.monotonic():
        return
    if is_attached(connection, table, name):
        with _memory_lock:
            _seen.add(key)
        return
    policy = POLICIES[table]
    before = connection.scalar(text("SELECT current_setting('lock_timeout')"))
    try:
        with connection.begin_nested():
            make_partition(connection, policy, span_of(policy.step, moment), OF_WRITERS)
            wait_for_locks(connection, before)
        # not remembered as seen: the caller may still roll back
    except (DBAPIError, NameTaken) as refused:
        if isinstance(refused, DBAPIError) and refused.connection_invalidated:
            raise
        with _memory_lock:
            _not_before[key] = time.monotonic() + RETRY_SECONDS
        logger.warning(
            "A partition is missing; the default one takes the rows",
            module="partitions",
            table=table,
            partition=name,
            error=str(getattr(refused, "orig", refused)).strip(),
        )


def make_partition(
    connection: Connection, policy: PartitionPolicy, span: Span, patience: Patience
) -> int:
    """Make the partition of a time and move what the default one holds of it.

    A table of its name that is not attached is what an interrupted work has left: it is attached.

    Returns:
        How many rows were moved.

    Raises:
        NameTaken: something of that name is no table, or a part of another one.

    """
    table = policy.table
    name = name_of(table, policy.step, span)
    begin_creating(connection, patience)
    if is_attached(connection, table, name):
        return 0
    lock(connection, f"ONLY {table}", "SHARE ROW EXCLUSIVE")
    wait_for_locks(connection, f"{patience.further_ms}ms")
    default = default_of(connection, table)
    if default is not None:
        lock(connection, default, "ACCESS EXCLUSIVE")
    if not _is_left_over(connection, table, name):
        ddl(
            connection,
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        )
    lower, upper = bound(policy, span.lower), bound(policy, span.upper)
    moved = 0
    if default is not None:
        moved = _move(connection, default, name, policy, span)
    ddl(
        connection,
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}')",
    )
    return moved


def make_default(connection: Connection, table: str, patience: Patience) -> None:
    """Make the partition that takes what fits nowhere else, or attach the one that is left over."""
    name = f"{table}_default"
    begin_creating(connection, patience)
    if default_of(connection, table) is not None:
        return
    lock(connection, f"ONLY {table}", "SHARE ROW EXCLUSIVE")
    wait_for_locks(connection, f"{patience.further_ms}ms")
    if not _is_left_over(connection, table, name):
        ddl(
            connection,
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        )
    ddl(connection, f"ALTER TABLE {table} ATTACH PARTITION {name} DEFAULT")


def begin_creating(connection: Connection, patience: Patience) -> None:
    """Wait until nobody else makes partitions; until the end of the transaction."""
    wait_for_locks(connection, f"{patience.first_ms}ms")
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('whalefall partitions', 0))")
    )


def wait_for_locks(connection: Connection, setting: str | None) -> None:
    """Wait for locks at most so long, for the rest of the transaction."""
    connection.execute(text("SELECT set_config('lock_timeout', :value, true)"), {"value": setting})


def lock(connection: Connection, relation: str, mode: str) -> None:
    """Lock a relation until the end of the transaction."""
    ddl(connection, f"LOCK TABLE {relation} IN {mode} MODE")


def ddl(connection: Connection, statement: str) -> int:
    """Execute a statement without parameters; return how many rows it wrote."""
    return connection.execute(text(statement.replace(":", r"\:"))).rowcount


def default_of(connection: Connection, table: str) -> str | None:
    """Return the default partition of a table, quoted; None if it has none."""
    found: str | None = connection.scalar(
        text(
            "SELECT nullif(partdefid, 0)::regclass::text FROM pg_partitioned_table"
            " WHERE partrelid = to_regclass(:table)"
        ),
        {"table": table},
    )
    return found


def is_attached(connection: Connection, table: str, name: str) -> bool:
    """Tell whether the table has a partition of that name."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_inherits"
                " WHERE inhrelid = to_regclass(:name) AND inhparent = to_regclass(:table))"
            ),
            {"name": name, "table": table},
        )
    )


def bound(policy: PartitionPolicy, moment: datetime) -> str:
    """Return a bound as DDL writes it."""
    moment = moment.astimezone(UTC)
    return moment.date().isoformat() if policy.of_days else moment.isoformat()


def _is_left_over(connection: Connection, table: str, name: str) -> bool:
    """Tell whether a table of that name is there without being a partition.

    Raises:
        NameTaken: something is there that cannot be attached.

    """
    found = connection.execute(
        text("SELECT relkind, relispartition FROM pg_class WHERE oid = to_regclass(:name)"),
        {"name": name},
    ).one_or_none()
    if found is None:
        return False
    if found.relkind != "r" or found.relispartition:
        raise NameTaken(
            f"{name} exists and is no table that could become a partition of {table}: rename it"
        )
    return True


def _move(
    connection: Connection, default: str, name: str, policy: PartitionPolicy, span: Span
) -> int:
    """Move the rows of a time; two statements are three times as fast as one that returns them."""
    columns = _columns(connection, policy.table)
    lower, upper = bound(policy, span.lower), bound(policy, span.upper)
    inside = f"{policy.column} >= '{lower}' AND {policy.column} < '{upper}'"
    moved = ddl(
        connection,
        f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - names of ours
        f"SELECT {columns} FROM {default} WHERE {inside}",
    )
    if moved:
        ddl(connection, f"DELETE FROM {default} WHERE {inside}")  # noqa: S608 - names of ours
    return moved


def _columns(connection: Connection, table: str) -> str:
    columns: str = connection.execute(
        text(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
        ),
        {"table": table},
    ).scalar_one()
    return columns
