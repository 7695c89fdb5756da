"""What one partition management did, or would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Made:
    """A partition that was made, or has to be."""

    table: str
    partition: str
    lower: datetime | None
    """None: the default partition, which has no time."""
    upper: datetime | None
    why: str
    rows_moved: int
    """Out of the default partition."""


@dataclass(frozen=True)
class Dropped:
    """A partition that was dropped, or would be."""

    table: str
    partition: str
    lower: datetime
    upper: datetime
    why: str
    bytes: int
    row_estimate: int
    exported_to: str | None = None


@dataclass(frozen=True)
class Trouble:
    """What was not done, and why."""

    table: str
    partition: str | None
    reason: str


@dataclass(frozen=True)
class Alarm:
    """A table that will soon have no partition for new rows but the default one."""

    table: str
    runway_days: int
    reason: str


@dataclass
class Report:
    """The same lists for a plan and for what was done."""

    measured_at: datetime
    dry_run: bool
    success_count: int = 0
    """Tables that are as they should be, or would be."""
    failed_count: int = 0
    """Tables of which something failed, and mistakes in the setting."""
    created: list[Made] = field(default_factory=list)
    drained: list[Made] = field(default_factory=list)
    """Those of the created ones that got rows of the default partition."""
    dropped: list[Dropped] = field(default_factory=list)
    refused: list[Trouble] = field(default_factory=list)
    """What has expired and stays all the same, because something would be lost."""
    failed: list[Trouble] = field(default_factory=list)
    left_over: list[Trouble] = field(default_factory=list)
    """Tables that are called like partitions and are none."""
    alarms: list[Alarm] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    """In WHALEFALL_RETENTION; nothing is dropped until they are corrected."""
    runway_days: dict[str, int] = field(default_factory=dict)
    """By table."""

    @property
    def bytes_freed(self) -> int:
        """By everything that was dropped."""
        return sum(one.bytes for one in self.dropped)

    def fail(self, table: str, partition: str | None, reason: str) -> None:
        """Note that something of a table failed."""
        self.failed.append(Trouble(table, partition, reason))

    def refuse(self, table: str, partition: str | None, reason: str) -> None:
        """Note that a partition has to stay."""
        self.refused.append(Trouble(table, partition, reason))

    def problem_of(self, table: str) -> str | None:
        """Return what is left to do with a table and why; None if there is nothing."""
        told = [alarm.reason for alarm in self.alarms if alarm.table == table]
        told += [
            f"{one.partition}: {one.reason}" if one.partition else one.reason
            for one in (*self.failed, *self.refused)
            if one.table == table
        ]
        if len(told) > _MOST_TOLD:
            told = [*told[:_MOST_TOLD], f"and {len(told) - _MOST_TOLD} more"]
        return "; ".join(told) or None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        document: dict[str, Any] = _plain(asdict(self))
        return document | {"bytes_freed": self.bytes_freed}


_MOST_TOLD = 5


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
