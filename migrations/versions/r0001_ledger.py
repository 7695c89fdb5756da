"""The ledger of accounts, the instances that it covers, and the runs that fill it."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the statements are in the file beside this one."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(statements)
