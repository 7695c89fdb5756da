"""What partitions there are, what they hold, and what has been written down about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.dialects.postgresql import insert

from app.constants.partitions import PartitionPolicy
from app.models import PartitionHealth
from app.repositories.partitions import EARLIEST, LATEST, Span
from app.utils.sql_files import load_sql

PACKAGE = "app.repositories.sql"
MANAGEMENT_LOCK = 0x5748_414C_0002
"""Advisory lock: "WHAL", 2. Who holds it manages partitions."""


@dataclass(frozen=True)
class Partition:
    """One partition; the default one has no span."""

    table: str
    name: str
    quoted_name: str
    span: Span | None
    row_estimate: int
    byte_estimate: int


@dataclass(frozen=True)
class LeftOver:
    """A table that is called like a partition and is none."""

    table: str
    name: str
    quoted_name: str


@dataclass(frozen=True)
class DefaultRows:
    """What the default partition of a table holds."""

    by_step: dict[datetime, int]
    """Rows by the first moment of their step."""
    beyond: int
    """Rows whose time is before or after everything that a partition is made for."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_step.values()) + self.beyond


def begin_management(connection: Connection) -> bool:
    """Be the only one who manages partitions, for as long as the session lasts, if nobody is."""
    return bool(
        connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": MANAGEMENT_LOCK})
    )


def still_managing(connection: Connection) -> bool:
    """Tell whether this session holds that lock; raises if the session is gone."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND pid = pg_backend_pid() AND objsubid = 1"
                " AND classid = (CAST(:key AS bigint) >> 32)::oid"
                " AND objid = (CAST(:key AS bigint) & 4294967295)::oid)"
            ),
            {"key": MANAGEMENT_LOCK},
        )
    )


def end_management(connection: Connection) -> None:
    """Let the next one manage partitions."""
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MANAGEMENT_LOCK})


def existing_tables(connection: Connection, tables: Sequence[str]) -> set[str]:
    """Return which of these tables there are, and are partitioned."""
    return set(
        connection.scalars(
            text(
                "SELECT wanted FROM unnest(CAST(:tables AS text[])) AS wanted"
                " JOIN pg_partitioned_table ON partrelid = to_regclass(wanted)"
            ),
            {"tables": list(tables)},
        )
    )


def partitions_of(connection: Connection, tables: Sequence[str]) -> dict[str, list[Partition]]:
    """Return the partitions of each table, the oldest first and the default one last."""
    found: dict[str, list[Partition]] = {table: [] for table in tables}
    parameters = {"tables": list(tables), "earliest": EARLIEST, "latest": LATEST}
    for row in ask(connection, "partitions_of_tables.sql", parameters):
        span = None if row["is_default"] else Span(row["lower"], row["upper"])
        found[row["table_name"]].append(
            Partition(
                row["table_name"],
                row["name"],
                row["quoted_name"],
                span,
                row["row_estimate"],
                row["byte_estimate"],
            )
        )
    return found


def left_over(connection: Connection, tables: Sequence[str]) -> dict[str, list[LeftOver]]:
    """Return the tables that are called like a partition of each table and are none."""
    found: dict[str, list[LeftOver]] = {table: [] for table in tables}
    rows = ask(connection, "tables_beside_partitions.sql", {"tables": list(tables)})
    for row in rows:
        found[row["table_name"]].append(
            LeftOver(row["table_name"], row["name"], row["quoted_name"])
        )
    return found


def has_rows(connection: Connection, quoted_name: str) -> bool:
    """Tell whether a table has any row."""
    statement = f"SELECT EXISTS (SELECT FROM {quoted_name})"  # noqa: S608 - quoted by the store
    return bool(connection.scalar(text(_verbatim(statement))))


def count_rows(connection: Connection, quoted_name: str) -> int:
    """Return how many rows a table has, exactly."""
    statement = f"SELECT count(*) FROM {quoted_name}"  # noqa: S608 - quoted by the store
    return int(connection.execute(text(_verbatim(statement))).scalar_one())


def bytes_of_partitions(connection: Connection, table: str) -> dict[str, int]:
    """Return the bytes of each partition with its indexes; waits for whoever locks one."""
    rows = ask(connection, "bytes_of_partitions.sql", {"table_name": table})
    return {row["name"]: row["bytes"] for row in rows}


def default_rows(connection: Connection, policy: PartitionPolicy, default: str) -> DefaultRows:
    """Return what the default partition holds, step by step, reading it once."""
    column = policy.column
    inside = f"{column} >= '{EARLIEST.date()}' AND {column} < '{LATEST.date()}'"
    moment = f"{column}::timestamp" if policy.of_days else f"{column} AT TIME ZONE 'UTC'"
    rows = connection.execute(
        text(
            _verbatim(
                f"SELECT CASE WHEN {inside} THEN date_trunc('{policy.step}', {moment})"  # noqa: S608 - names of ours
                " AT TIME ZONE 'UTC' END AS step, count(*) AS number"
                f" FROM {default} GROUP BY 1 ORDER BY 1"
            )
        )
    ).all()
    return DefaultRows(
        {row.step: row.number for row in rows if row.step is not None},
        sum(row.number for row in rows if row.step is None),
    )


def servers_partitioned_tables(
    connection: Connection, instance: str | None, most: int
) -> list[dict[str, Any]]:
    """Return the health of partitioned tables on the servers, worst first."""
    parameters = {"instance": instance, "most": most}
    rows = ask(connection, "partitioned_tables_of_servers.sql", parameters)
    return [dict(row) for row in rows]


def write_health(connection: Connection, health: dict[str, Any]) -> None:
    """Write how one table is."""
    statement = insert(PartitionHealth).values(health)
    changed = {name: statement.excluded[name] for name in health if name != "table_name"}
    connection.execute(statement.on_conflict_do_update(index_elements=["table_name"], set_=changed))


def somebody_waits(connection: Connection) -> bool:
    """Tell whether anybody waits for a lock that this session holds."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
            )
        )
    )


def ask(connection: Connection, name: str, parameters: dict[str, Any]) -> Sequence[RowMapping]:
    """Return the rows of a statement in a file."""
    return connection.exec_driver_sql(load_sql(PACKAGE, name), parameters).mappings().all()


def _verbatim(statement: str) -> str:
    return statement.replace(":", r"\:")
