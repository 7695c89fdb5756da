"""How long rows are kept: what the code says, with what the setting says over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.config import Settings
from app.constants.logs import SEVERITY_CLASSES
from app.constants.partitions import PartitionPolicy
from app.constants.retention import ROW_POLICIES
from app.services.partition_management.retention import effective_policies


@dataclass(frozen=True)
class Limit:
    """The limits of one name in WHALEFALL_RETENTION; None: there is none."""

    days: int | None
    rows: int | None = None
    bytes: int | None = None

    def before(self, now: datetime) -> datetime | None:
        """Return since when rows are kept."""
        return None if self.days is None else now - timedelta(days=self.days)


def limits_of(settings: Settings) -> tuple[dict[str, Limit], list[str]]:
    """Return the limits by name, and a sentence for each mistake in the setting.

    What failed is never kept shorter than what succeeded.
    """
    partitioned, mistakes = effective_policies(settings)
    limits = {
        table: _of(policy)
        for table, policy in partitioned.items()
        if table in {f"log_entries_{severity}" for severity in SEVERITY_CLASSES}
    }
    for name, policy in ROW_POLICIES.items():
        given = settings.retention.get(name)
        if given and not policy.counts_rows and (given.rows, given.bytes) != (None, None):
            mistakes.append(
                f"WHALEFALL_RETENTION: {name} is kept by days only: leave rows and bytes out."
            )
        limits[name] = Limit(
            (given and given.days) or policy.keep_days,
            given.rows if given else None,
            given.bytes if given else None,
        )
    for well, badly in (
        ("task_runs", "task_runs_failed"),
        ("procrastinate_jobs", "procrastinate_jobs_failed"),
    ):
        days = max(limits[well].days or 0, limits[badly].days or 0)
        limits[badly] = Limit(days)
    return limits, mistakes


def _of(policy: PartitionPolicy) -> Limit:
    return Limit(policy.keep_days, policy.keep_rows, policy.keep_bytes)
