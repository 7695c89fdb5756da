"""The one place that says how the store's time series are partitioned and how long they are kept.

What an operator wants otherwise goes into the setting WHALEFALL_RETENTION.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """How long the time of one partition is; the bounds are those of UTC."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True)
class PartitionPolicy:
    """How one table is partitioned, and when a partition of it has expired."""

    table: str
    """The table whose direct partitions are ranges of time."""
    column: str
    step: Step
    ahead: int
    """Partitions that exist beyond the present one."""
    keep_days: int | None
    """None: for ever."""
    keep_rows: int | None = None
    keep_bytes: int | None = None
    of_days: bool = False
    """Whether the column is a date instead of a moment."""
    sealed_first: bool = False
    """Whether rows may only go when every period that they belong to is sealed."""


POLICIES = {
    policy.table: policy
    for policy in (
        PartitionPolicy("account_changes", "occurred_at", Step.MONTH, 3, None),
        PartitionPolicy("scope_observations", "observed_at", Step.MONTH, 3, 400),
        PartitionPolicy(
            "capacity_collections", "collected_at", Step.MONTH, 3, 400, sealed_first=True
        ),
        PartitionPolicy("instance_sizes", "collected_at", Step.MONTH, 3, 400, sealed_first=True),
        PartitionPolicy("database_sizes", "collected_at", Step.MONTH, 3, 400, sealed_first=True),
        PartitionPolicy("storage_sizes", "collected_at", Step.MONTH, 3, 400, sealed_first=True),
        PartitionPolicy("relation_sizes", "collected_at", Step.DAY, 14, 100, sealed_first=True),
        PartitionPolicy(
            "capacity_rollups_day",
            "start_on",
            Step.MONTH,
            3,
            800,
            of_days=True,
            sealed_first=True,
        ),
        PartitionPolicy("capacity_rollups_week", "start_on", Step.YEAR, 1, 3700, of_days=True),
        PartitionPolicy("capacity_rollups_month", "start_on", Step.YEAR, 1, None, of_days=True),
        PartitionPolicy("capacity_rollups_quarter", "start_on", Step.YEAR, 1, None, of_days=True),
        PartitionPolicy("log_entries_info", "occurred_at", Step.DAY, 14, 14),
        PartitionPolicy("log_entries_warning", "occurred_at", Step.DAY, 14, 90),
        PartitionPolicy("log_entries_error", "occurred_at", Step.DAY, 14, 400),
    )
}
