"""What one table is like now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from app.constants.partitions import PartitionPolicy
from app.models import db
from app.repositories import partition_catalog as catalog
from app.repositories.partition_catalog import DefaultRows, LeftOver, Partition
from app.repositories.partitions import default_of, wait_for_locks
from app.services.partition_management.patience import SHORT, Failed, patiently
from app.services.partition_management.planning import runway_days


@dataclass(frozen=True)
class TableState:
    """One table, its partitions, and what lies beside them."""

    policy: PartitionPolicy
    exists: bool
    partitions: Sequence[Partition]
    left_over: Sequence[LeftOver]

    @property
    def default(self) -> Partition | None:
        """The partition that takes what fits nowhere else."""
        return next((part for part in self.partitions if part.span is None), None)

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest partition begins."""
        return min((part.span.lower for part in self.partitions if part.span), default=None)

    def runway_days(self, now: datetime) -> int:
        """Return for how many days there is a partition for every new row."""
        return runway_days(self.partitions, now)


def look(policies: Mapping[str, PartitionPolicy]) -> dict[str, TableState]:
    """Return the state of every table; waits for nobody who has locked one."""
    tables = list(policies)
    with db.engine.begin() as connection:
        existing = catalog.existing_tables(connection, tables)
        partitions = catalog.partitions_of(connection, tables)
        left_over = catalog.left_over(connection, tables)
    return {
        table: TableState(policy, table in existing, partitions[table], left_over[table])
        for table, policy in policies.items()
    }


def default_rows(policy: PartitionPolicy) -> DefaultRows:
    """Return what the default partition of a table holds; nothing if there is none.

    Raises:
        Failed: somebody has locked it.

    """

    def count(connection: Connection) -> DefaultRows:
        wait_for_locks(connection, f"{SHORT.first_ms}ms")
        default = default_of(connection, policy.table)
        if default is None:
            return DefaultRows({}, 0)
        return catalog.default_rows(connection, policy, default)

    return patiently(policy.table, SHORT, count)


def bytes_of(state: TableState) -> dict[str, int]:
    """Return the bytes of each partition; the store's last estimate if somebody has locked one."""

    def measure(connection: Connection) -> dict[str, int]:
        wait_for_locks(connection, f"{SHORT.first_ms}ms")
        return catalog.bytes_of_partitions(connection, state.policy.table)

    try:
        return patiently(state.policy.table, SHORT, measure)
    except Failed:
        return {part.name: part.byte_estimate for part in state.partitions}


def rows_of(partition: Partition) -> int:
    """Return how many rows a partition has, exactly.

    Raises:
        Failed: somebody has locked it.

    """

    def count(connection: Connection) -> int:
        wait_for_locks(connection, f"{SHORT.first_ms}ms")
        return catalog.count_rows(connection, partition.quoted_name)

    return patiently(partition.table, SHORT, count)
