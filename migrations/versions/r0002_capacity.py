"""Sizes of everything, their aggregates and forecasts."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.repositories.store_versions import execute_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the statements are in the file beside this one."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    execute_script(op.get_bind(), statements)
