"""Log cleanup: logs and the history of runs stay inside their limits, and failures stay longest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from app.config import Settings, current_settings
from app.constants.logs import SEVERITY_CLASSES
from app.constants.retention import NEWEST_KEPT
from app.models import db
from app.repositories import expired_rows, queue, store_versions
from app.services.log_cleanup.limits import Limit, limits_of
from app.services.log_cleanup.spill_files import look_after
from app.services.partition_management.partition_management_service import (
    AlreadyManaging,
    partition_management_service,
)
from app.utils.refusal import Refused
from app.utils.structlog_config import get_system_logger

RUNS_AT_ONCE = 1_000
ROWS_AT_ONCE = 5_000

logger = get_system_logger()

Part = Callable[[], dict[str, int]]
"""Deletes something, in transactions of its own; returns how much of what."""


@dataclass(frozen=True)
class Kept:
    """How long something is to be kept, and what there is now."""

    name: str
    keep_days: int | None
    keep_rows: int | None
    keep_bytes: int | None
    row_count: int | None
    """Of log entries: about."""
    total_bytes: int | None
    """With indexes; None where the row of the same table above has it."""
    oldest_at: datetime | None
    kept_days: float | None
    """How old the oldest is: the retention that is really there."""


class LogCleanupService:
    """Deletes what has been kept long enough."""

    def cleanup(self) -> dict[str, Any]:
        """Delete what is beyond its limits; what fails in one part leaves the others alone.

        1. Log entries: partitions that have expired, and old rows that no partition of a day has.
        2. Runs and their items, by age, number and bytes. Active ones, and the newest 100 of each
           task, stay.
        3. Fires of the schedule, but for the newest 100 of each job.
        4. Jobs of the queue that ended, and processes all of whose entries are gone.
        5. Files of dead processes that nobody has loaded for as long as errors are kept.

        Every batch is a transaction of its own.

        Returns:
            ``success_count`` and ``failed_count`` of the parts, ``deleted`` by what it was,
            ``failures`` by part, and ``retention``: what is configured and what there is now.

        Raises:
            Refused: The setting has a mistake: what it should have said is not known.

        """
        settings = current_settings()
        limits, mistakes = limits_of(settings)
        if mistakes:
            raise Refused(" ".join(mistakes), "Correct WHALEFALL_RETENTION; nothing was deleted.")
        now = _now()
        deleted: dict[str, int] = {}
        failures: dict[str, str] = {}
        kept: list[dict[str, Any]] = []
        parts = self._parts(settings, limits, now)
        for name, part in parts.items():
            with _on_its_own(name, failures):
                for what, count in part().items():
                    deleted[what] = deleted.get(what, 0) + count
        with _on_its_own("retention", failures):
            kept = [asdict(row) | {"oldest_at": _text(row.oldest_at)} for row in self.retention()]
        return {
            "success_count": len(parts) + 1 - len(failures),
            "failed_count": len(failures),
            "deleted": deleted,
            "failures": failures,
            "retention": kept,
        }

    def retention(self) -> list[Kept]:
        """Return how long everything that this job looks after is kept, and what there is now."""
        limits, _ = limits_of(current_settings())
        now = _now()
        rows = expired_rows.retention_of_rows(db.session)
        for severity in SEVERITY_CLASSES:
            rows[f"log_entries_{severity}"] = expired_rows.retention_of_logs(db.session, severity)
        db.session.rollback()
        return [_kept(name, limits[name], rows[name], now) for name in limits]

    def _parts(
        self, settings: Settings, limits: dict[str, Limit], now: datetime
    ) -> dict[str, Part]:
        fires = limits["job_fires"].before(now)
        return {
            "log_partitions": _drop_log_partitions,
            "log_entries": lambda: {
                "log_entries": sum(
                    _forget_unplaced(severity, limits[f"log_entries_{severity}"].before(now))
                    for severity in SEVERITY_CLASSES
                )
            },
            "task_runs": lambda: _forget_runs(limits, now),
            "job_fires": lambda: {
                "job_fires": _in_batches(
                    lambda: expired_rows.forget_fires(
                        db.session,
                        before=_certain(fires),
                        newest_kept=NEWEST_KEPT,
                        limit=ROWS_AT_ONCE,
                    )
                )
            },
            "procrastinate_jobs": lambda: {
                "procrastinate_jobs": _forget_jobs(queue.ENDED_WELL, limits["procrastinate_jobs"])
                + _forget_jobs(queue.FAILED, limits["procrastinate_jobs_failed"])
            },
            "log_producers": lambda: _forget_producers(limits, now),
            "spill_files": lambda: look_after(
                settings.data_dir, limits["log_entries_error"].before(now), now
            ),
        }


@contextmanager
def _on_its_own(part: str, failures: dict[str, str]) -> Iterator[None]:
    """Note what goes wrong in the block, and go on."""
    try:
        yield
    except Exception as error:
        db.session.rollback()
        failures[part] = f"{type(error).__name__}: {error}".strip()
        logger.exception("A part of log cleanup failed", module="log_cleanup", part=part)


def _drop_log_partitions() -> dict[str, int]:
    try:
        report = partition_management_service.drop_expired(
            [f"log_entries_{severity}" for severity in SEVERITY_CLASSES]
        )
    except AlreadyManaging:  # then somebody else drops them at this moment
        return {"log_partitions": 0}
    if report["failed_count"]:
        raise Refused("; ".join(f"{one['partition']}: {one['reason']}" for one in report["failed"]))
    return {"log_partitions": len(report["dropped"])}


def _forget_unplaced(severity: str, before: datetime | None) -> int:
    if before is None:
        return 0
    return _in_batches(
        lambda: expired_rows.forget_unplaced_logs(
            db.session, severity, before=before, limit=ROWS_AT_ONCE
        )
    )


def _forget_runs(limits: dict[str, Limit], now: datetime) -> dict[str, int]:
    limit = limits["task_runs"]
    through = expired_rows.runs_beyond(db.session, rows=limit.rows, most_bytes=limit.bytes)
    db.session.rollback()
    deleted = {"task_runs": 0, "task_run_items": 0}
    while True:
        run_ids = expired_rows.expired_runs(
            db.session,
            before=_certain(limit.before(now)),
            failed_before=_certain(limits["task_runs_failed"].before(now)),
            through_id=through,
            newest_kept=NEWEST_KEPT,
            limit=RUNS_AT_ONCE,
        )
        db.session.rollback()
        if not run_ids:
            return deleted
        deleted["task_run_items"] += _in_batches(
            partial(expired_rows.forget_items, db.session, run_ids, ROWS_AT_ONCE)
        )
        deleted["task_runs"] += expired_rows.forget_runs(db.session, run_ids)
        db.session.commit()


def _forget_jobs(statuses: tuple[str, ...], limit: Limit) -> int:
    seconds = timedelta(days=limit.days or 0).total_seconds()
    return _in_batches(
        lambda: queue.forget_jobs(db.session, statuses, ended_seconds=seconds, limit=ROWS_AT_ONCE)
    )


def _forget_producers(limits: dict[str, Limit], now: datetime) -> dict[str, int]:
    days = [limits[f"log_entries_{severity}"].days for severity in SEVERITY_CLASSES]
    if None in days:  # entries of every process are kept for ever
        return {"log_producers": 0}
    longest = max(filter(None, [*days, limits["log_producers"].days]))
    before = now - timedelta(days=longest)
    return {
        "log_producers": _in_batches(
            lambda: expired_rows.forget_log_producers(db.session, before=before, limit=ROWS_AT_ONCE)
        )
    }


def _in_batches(step: Callable[[], int]) -> int:
    """Repeat a step, each in a transaction of its own, until it finds nothing more to do."""
    total = 0
    while count := step():
        db.session.commit()
        total += count
    db.session.rollback()
    return total


def _kept(name: str, limit: Limit, row: Any, now: datetime) -> Kept:
    age = (now - row.oldest_at) / timedelta(days=1) if row.oldest_at else None
    return Kept(
        name=name,
        keep_days=limit.days,
        keep_rows=limit.rows,
        keep_bytes=limit.bytes,
        row_count=None if row.row_count is None else int(row.row_count),
        total_bytes=None if row.total_bytes is None else int(row.total_bytes),
        oldest_at=row.oldest_at,
        kept_days=None if age is None else round(age, 1),
    )


def _certain(moment: datetime | None) -> datetime:
    return moment or datetime(1, 1, 1, tzinfo=UTC)


def _now() -> datetime:
    now = store_versions.now(db.session.connection())
    db.session.rollback()
    return now


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


log_cleanup_service = LogCleanupService()
