"""Runs and items as they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.models import TaskRun, TaskRunItem


@dataclass(frozen=True)
class RequestedRun:
    """The answer to a request: a new run, or the one that is active already."""

    run_id: int
    created: bool


@dataclass(frozen=True)
class RunSummary:
    """One run."""

    id: int
    task: str
    trigger: str
    requested_by: str | None
    parameters: dict[str, Any]
    retry_of_id: int | None
    state: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    planned_at: datetime | None
    item_count: int
    succeeded_count: int
    partial_count: int
    failed_count: int
    cancelled_count: int
    result: dict[str, Any] | None
    error: str | None

    @classmethod
    def of(cls, run: TaskRun) -> RunSummary:
        """Return a copy that needs no session."""
        return cls(**{name: getattr(run, name) for name in cls.__dataclass_fields__})

    @property
    def ended_count(self) -> int:
        """Items that have ended."""
        return self.succeeded_count + self.partial_count + self.failed_count + self.cancelled_count

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class ItemSummary:
    """One target of a run."""

    id: int
    run_id: int
    instance_id: int
    instance_name: str
    state: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    error_code: str | None
    error: str | None
    coverage: dict[str, Any] | None
    receipt: dict[str, Any] | None

    @classmethod
    def of(cls, item: TaskRunItem, instance_name: str) -> ItemSummary:
        """Return a copy that needs no session."""
        names = cls.__dataclass_fields__.keys() - {"instance_name"}
        return cls(instance_name=instance_name, **{name: getattr(item, name) for name in names})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)
