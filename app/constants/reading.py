"""Words for how far a server could be read."""

from __future__ import annotations

from enum import StrEnum


class ScopeStatus(StrEnum):
    """What a read saw of a scope. Only FULL may conclude that something is gone."""

    FULL = "full"
    PARTIAL = "partial"
    DENIED = "denied"
    SKIPPED = "skipped"
    FAILED = "failed"


class FailureKind(StrEnum):
    """Why a read could not answer."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    LOGIN = "login"
    NO_DATABASE = "no_database"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    STARTING_UP = "starting_up"
    DENIED = "denied"
    STATEMENT_TIMEOUT = "statement_timeout"
    LOCKED = "locked"
    LOST = "lost"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"
    """It cannot be looked into, for a reason of its own: no attempt was made."""
    BUDGET = "budget"
    """The time that reading may take was used up."""
    PART_UNKNOWN = "part_unknown"
    """A part of it could not be sized, so that it has no sum."""
    QUERY = "query"
    WORKER_DIED = "worker_died"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


TRANSIENT = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.TOO_MANY_CONNECTIONS,
        FailureKind.STARTING_UP,
        FailureKind.LOCKED,
        FailureKind.LOST,
    }
)
"""Worth trying again within seconds. A time-out is not: trying again would cost the same time
again."""
