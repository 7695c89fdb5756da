from __future__ import annotations

from dataclasses import dataclass

from app.repositories.remote.mysql_session import Rows


@dataclass(frozen=True)
class Answers:
    """What one read of a server brought, row by row as its ``.sql`` files ask."""

    settings: dict[str, str]
    columns: dict[str, tuple[str, ...]]
    """Privilege columns by table: the order of the flags in the answers."""
    accounts: Rows
    rows: dict[str, Rows]
    """By the name of the ``.sql`` file; empty if it could not be read."""
