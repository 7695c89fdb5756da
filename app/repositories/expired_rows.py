"""Rows of tables that are not partitioned and have been kept long enough; one batch a call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app.models import TaskRun
from app.utils.sql_files import load_sql

_MOST = 2**62


def runs_beyond(session: Session, *, rows: int | None, most_bytes: int | None) -> int:
    """Return the newest run that is too many, by number or by bytes; 0 if none is."""
    if rows is None and most_bytes is None:
        return 0
    through: int | None = _execute(
        session,
        "runs_beyond_limits.sql",
        {
            "rows": _MOST if rows is None else rows,
            "bytes": _MOST if most_bytes is None else most_bytes,
        },
    ).scalar()
    return through or 0


def expired_runs(
    session: Session,
    *,
    before: datetime,
    failed_before: datetime,
    through_id: int,
    newest_kept: int,
    limit: int,
) -> list[int]:
    """Return runs that have ended and may go, oldest first."""
    parameters = {
        "before": before,
        "failed_before": failed_before,
        "through_id": through_id,
        "newest_kept": newest_kept,
        "limit": limit,
    }
    return list(_execute(session, "expired_runs.sql", parameters).scalars())


def forget_items(session: Session, run_ids: Sequence[int], limit: int) -> int:
    """Delete some items of runs; return how many."""
    return _count(session, "forget_items.sql", {"run_ids": list(run_ids), "limit": limit})


def forget_runs(session: Session, run_ids: Sequence[int]) -> int:
    """Delete runs that have no items left; a retry of one of them stays, and forgets of which."""
    session.execute(
        update(TaskRun)
        .where(TaskRun.retry_of_id.in_(run_ids))
        .values(retry_of_id=None)
        .execution_options(synchronize_session=False)
    )
    return (
        session.connection()
        .execute(text("DELETE FROM task_runs WHERE id = ANY(:ids)"), {"ids": list(run_ids)})
        .rowcount
    )


def forget_fires(session: Session, *, before: datetime, newest_kept: int, limit: int) -> int:
    """Delete some fires that were recorded before a moment; return how many."""
    parameters = {"before": before, "newest_kept": newest_kept, "limit": limit}
    return _count(session, "forget_fires.sql", parameters)


def forget_log_producers(session: Session, *, before: datetime, limit: int) -> int:
    """Delete some processes that said nothing since a moment; return how many."""
    return _count(session, "forget_log_producers.sql", {"before": before, "limit": limit})


def forget_unplaced_logs(
    session: Session, severity_class: str, *, before: datetime, limit: int
) -> int:
    """Delete some entries before a moment that no partition of a day holds; return how many."""
    table = f"log_entries_{severity_class}_default"
    return (
        session.connection()
        .execute(
            text(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - a name of ours
                f"SELECT ctid FROM {table} WHERE occurred_at < :before LIMIT :limit))"
            ),
            {"before": before, "limit": limit},
        )
        .rowcount
    )


def retention_of_rows(session: Session) -> dict[str, Any]:
    """Return (row_count, total_bytes, oldest_at) by the name of a policy."""
    return {row.name: row for row in _execute(session, "retention_of_rows.sql", {})}


def retention_of_logs(session: Session, severity_class: str) -> Any:
    """Return (row_count, about; total_bytes, oldest_at) of the entries of one class."""
    return _execute(session, "retention_of_logs.sql", {"severity_class": severity_class}).one()


def _execute(session: Session, file: str, parameters: dict[str, Any]) -> Any:
    sql = load_sql("app.repositories.sql", file)
    return session.connection().exec_driver_sql(sql, parameters)


def _count(session: Session, file: str, parameters: dict[str, Any]) -> int:
    count: int = _execute(session, file, parameters).rowcount
    return count
