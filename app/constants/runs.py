"""States and triggers of task runs and their items."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of a run and of an item; the last four end it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (State.QUEUED, State.RUNNING)
ENDED = (State.SUCCEEDED, State.PARTIAL, State.FAILED, State.CANCELLED)


class Trigger(StrEnum):
    """What caused a run."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"
    CLI = "cli"
    API = "api"
    MANUAL = "manual"
    RETRY = "retry"
