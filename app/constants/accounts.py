"""Words of the account ledger."""

from __future__ import annotations

from enum import StrEnum


class AccountKind(StrEnum):
    """Values of ``accounts.kind``."""

    USER = "user"
    ROLE = "role"
    SYSTEM = "system"
    """The engine's own: predefined roles and reserved accounts."""
    PUBLIC = "public"
    """Everybody: what it holds, every account holds."""


class ChangeKind(StrEnum):
    """Values of ``account_changes.kind``."""

    ACCOUNT_CREATED = "account_created"
    ACCOUNT_REMOVED = "account_removed"
    ACCOUNT_RENAMED = "account_renamed"
    ACCESS_CHANGED = "access_changed"
    """Attributes, memberships, grants or ownership of one account in one scope."""
    DATABASE_DROPPED = "database_dropped"
    """Every entitlement inside it ended with it; one event, not one an account."""
    ENGINE_UPGRADED = "engine_upgraded"
    REMOVAL_HELD = "removal_held"
    """So many accounts vanished at once that a person must confirm it."""
    RIGHTS_LOST = "rights_lost"
    """Our own account may see less than last time."""
    RIGHTS_GAINED = "rights_gained"
