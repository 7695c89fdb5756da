"""Which version of what our own store is at."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import Connection, text

MIGRATION_LOCK = 0x57484C46  # "WHLF"


def server_version(connection: Connection) -> tuple[int, str]:
    """Return the server's major version, and its version in its own words."""
    row = connection.execute(
        text("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
    ).one()
    return row[0] // 10000, row[1]


def revision(connection: Connection) -> str | None:
    """Return the revision of our tables; None if there are none."""
    if not connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def lock_migrations(connection: Connection) -> None:
    """Wait until nobody else migrates this store; the lock ends with the session."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})


def unlock_migrations(connection: Connection) -> None:
    """Let the next one migrate."""
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})


def has_queue(connection: Connection) -> bool:
    """Tell whether the queue's tables exist."""
    return bool(connection.scalar(text("SELECT to_regclass('procrastinate_jobs') IS NOT NULL")))


def queue_migration(connection: Connection) -> str | None:
    """Return the name of the newest of the queue's migrations that the store has."""
    comment = connection.scalar(
        text("SELECT obj_description(to_regclass('procrastinate_jobs'), 'pg_class')")
    )
    found = re.search(r"through (\S+)", comment or "")
    return found.group(1) if found else None


def record_queue_migration(connection: Connection, migration: str) -> None:
    """Remember the newest of the queue's migrations."""
    words = f"Procrastinate schema through {migration} (written by whalefall)".replace("'", "''")
    connection.execute(text(f"COMMENT ON TABLE procrastinate_jobs IS '{words}'"))


def execute_script(connection: Connection, script: str) -> None:
    """Execute a file of statements as it stands."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(script)
    finally:
        cursor.close()


def now(connection: Connection) -> datetime:
    """Return the store's time."""
    moment: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return moment
