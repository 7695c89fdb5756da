"""A past for the demo's servers: weeks, quarters and forecasts need more than a day to be seen.

What is made up is marked: the instance carries the tag ``history-generated-before-<day>``, and its
collections belong to no run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from psycopg import Connection
from sqlalchemy import text

from app.config import current_settings
from app.models import db
from app.repositories.partitions import ensure_partition
from app.services.demo.demo_service import TAG
from app.services.forecast.forecast_service import forecast_service
from app.services.instances.instances_service import instances_service

DAYS = 180
LIMITED = "orders"
LABEL = "history-generated-before-"
_SAMPLES = (
    "capacity_collections",
    "instance_sizes",
    "database_sizes",
    "relation_sizes",
    "storage_sizes",
)


def generate_history() -> list[str]:
    """Give a past of 180 days to each demo server that has been sized and has none yet.

    Returns:
        The names of those that got one.

    """
    zone = current_settings().zone
    today = datetime.now(zone).date()
    given = []
    for row in instances_service.list_instances(tags=[TAG]):
        if any(tag.startswith(LABEL) for tag in row.tags):
            continue
        connection = db.session.connection()
        for ago in range(DAYS + 2):  # a local day begins on the day before, by UTC
            moment = datetime.now(UTC) - timedelta(days=ago)
            for table in _SAMPLES:
                ensure_partition(connection, table, moment)
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        script = resources.files(__package__).joinpath("generated_history.sql").read_bytes()
        made = driver.execute(
            script,
            {"instance_id": row.id, "today": today, "zone": str(zone), "days": DAYS},
        )
        if made.rowcount and _is_sized(driver, row.id):
            db.session.commit()
            instances_service.edit(row.name, tags=[*row.tags, f"{LABEL}{today}"])
            _limit(row.id, row.name)
            given.append(row.name)
        else:
            db.session.rollback()
    return given


def _limit(instance_id: int, name: str) -> None:
    """Say how big the database that grows the most may get, as a person would."""
    found = db.session.execute(
        text(
            "SELECT s.total_bytes FROM databases AS d JOIN database_sizes AS s"
            " ON s.database_id = d.id AND s.collected_at = d.sized_at"
            " WHERE d.instance_id = :instance_id AND d.name = :name AND d.closed_at IS NULL"
        ),
        {"instance_id": instance_id, "name": LIMITED},
    ).scalar()
    db.session.rollback()
    if found is not None:
        forecast_service.set_limit(name, int(found) * 3 // 2, database=LIMITED, by="demo")


def _is_sized(connection: Connection[Any], instance_id: int) -> bool:
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM database_sizes WHERE instance_id = %s)", (instance_id,)
    ).fetchone()
    return found is not None and bool(found[0])
