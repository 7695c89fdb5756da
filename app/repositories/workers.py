"""Questions about the processes that take work from the queue."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session


def any_alive(session: Session, silent_seconds: float) -> bool:
    """Return whether a worker has given a sign of life within so many seconds."""
    query = text(
        "SELECT EXISTS (SELECT FROM procrastinate_workers"
        " WHERE last_heartbeat >= now() - make_interval(secs => :seconds))"
    )
    return bool(session.scalar(query, {"seconds": silent_seconds}))
