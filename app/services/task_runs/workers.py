"""Whether anybody is there to do the work."""

from __future__ import annotations

from app.models import db
from app.repositories import workers
from app.services.task_runs.sweep import STALLED_SECONDS


def worker_is_up() -> bool:
    """Return whether a worker, in whatever process, has lately given a sign of life."""
    alive = workers.any_alive(db.session, STALLED_SECONDS)
    db.session.rollback()
    return alive
