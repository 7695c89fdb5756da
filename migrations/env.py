"""Alembic's environment: run only from app.services.store, which hands over the connection."""

from __future__ import annotations

from alembic import context

from app.models import Model
from migrations.scope import is_ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Model.metadata,
    include_object=is_ours,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
