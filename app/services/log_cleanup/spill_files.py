"""Files of log entries that dead processes left and no process has loaded yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.utils.log_spill import FOLDER, orphan, spilled
from app.utils.structlog_config import get_system_logger

WAITING = timedelta(days=1)
"""A process that stays loads such files within minutes; so old a one is worth a word."""

logger = get_system_logger()


def look_after(data_dir: Path, before: datetime | None, now: datetime) -> dict[str, int]:
    """Tell of files that wait for long, and delete those older than any entry is kept.

    Returns:
        How many were deleted.

    """
    deleted = 0
    waiting: list[tuple[str, int, str]] = []
    for path in spilled(data_dir / FOLDER):
        with orphan(path) as found:
            if found is None:  # its process lives, or another one loads it
                continue
            state = path.stat()
            changed_at = datetime.fromtimestamp(state.st_mtime, UTC)
            if before is not None and changed_at < before:
                found.delete()
                deleted += 1
            elif changed_at < now - WAITING:
                waiting.append((path.name, state.st_size, changed_at.isoformat()))
    if waiting:
        logger.warning(
            "Log entries of dead processes wait in files; nobody who logs to the store is up",
            module="log_cleanup",
            files=[{"name": name, "bytes": size, "since": at} for name, size, at in waiting],
        )
    return {"spill_files": deleted}
