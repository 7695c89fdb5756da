"""Which tables of the store Alembic looks after."""

from __future__ import annotations

from sqlalchemy.schema import SchemaItem

from app.models import Model


def is_ours(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None
) -> bool:
    """Tell whether a table belongs to the models: not the queue's own ones, and not partitions."""
    del item, compare_to
    return kind != "table" or not reflected or name in Model.metadata.tables
