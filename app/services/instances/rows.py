"""What the service tells about an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.models import Instance


@dataclass(frozen=True)
class InstanceRow:
    """One instance as lists show it; holds no secret."""

    id: int
    name: str
    engine: str
    host: str
    port: int
    database: str | None
    tls_mode: str
    own_ca: bool
    """Whether an authority of its own is trusted instead of the system's."""
    tags: list[str]
    credential: str | None
    username: str | None
    state: str
    """enabled, disabled or removed."""
    server_version: str | None
    created_at: datetime
    updated_at: datetime
    removed_at: datetime | None


def row_of(instance: Instance) -> InstanceRow:
    """Return what lists show of an instance."""
    credential = instance.credential
    state = "enabled" if instance.enabled else "disabled"
    return InstanceRow(
        id=instance.id,
        name=instance.name,
        engine=instance.engine,
        host=instance.host,
        port=instance.port,
        database=instance.database,
        tls_mode=instance.tls_mode,
        own_ca=instance.tls_ca is not None,
        tags=list(instance.tags),
        credential=credential.name if credential else None,
        username=credential.username if credential else None,
        state="removed" if instance.removed_at else state,
        server_version=instance.server_version,
        created_at=instance.created_at,
        updated_at=instance.updated_at,
        removed_at=instance.removed_at,
    )
