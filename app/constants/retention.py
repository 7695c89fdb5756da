"""How long the rows of tables that are not partitioned are kept; log cleanup deletes the others.

Tables of which partitions are dropped are in app/constants/partitions.py. What an operator wants
otherwise goes into the setting WHALEFALL_RETENTION, under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowPolicy:
    """When rows of one table have expired."""

    name: str
    """What WHALEFALL_RETENTION calls them."""
    table: str
    keep_days: int
    counts_rows: bool = False
    """Whether limits by rows and bytes mean something, too."""


ROW_POLICIES = {
    policy.name: policy
    for policy in (
        RowPolicy("task_runs", "task_runs", 90, counts_rows=True),
        RowPolicy("task_runs_failed", "task_runs", 400),
        RowPolicy("job_fires", "job_fires", 400),
        RowPolicy("procrastinate_jobs", "procrastinate_jobs", 1),
        RowPolicy("procrastinate_jobs_failed", "procrastinate_jobs", 30),
        RowPolicy("log_producers", "log_producers", 400),
    )
}

NEWEST_KEPT = 100
"""So many runs of each task, and fires of each job, stay whatever the limits say."""
