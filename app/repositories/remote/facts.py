"""What every reader answers, whatever the engine: the shape of facts, and how a read fails.

A reader gives facts, or raises ReadError. An empty answer means that there are none.

The facts of one account in one scope are one dict. Only these keys, an empty one left out, every
list sorted, every leaf a str, int, bool or None:

``attributes``    {name: scalar}; server scope only; holds "name" itself, so that any instant can
be shown
``memberships``   [{"role": key, "by": key, "admin": bool, "inherit": bool, "set": bool, "default":
bool}]
                  roles granted to the account; a flag that the engine does not have is left out
``grants``        [{"on": kind, "name": [part …], "by": key, "privileges": [word …], "grantable":
[word …]}]
                  one per object and grantor; a word stands in ``grantable`` if it was given WITH
                  GRANT OPTION, else in ``privileges``, never in both; an empty one of the two is
                  left out; "by" is left out where the engine does not record the grantor
``owns``          [{"on": kind, "name": [part …]}], plus "reduced": true if the owner's own
privileges
                  were taken away in part: then what is left of them stands in ``grants``
``default_grants`` [{"schema": name or None, "on": kind, "to": key, "privileges": …, "grantable":
…}]
                  what objects that this account creates later will grant (ALTER DEFAULT PRIVILEGES)
``revokes``       [{"on": "database", "name": [part …], "privileges": [word …]}]
                  exceptions to a wider grant (MySQL partial revokes)

A key of an account is what the engine itself knows it by: PostgreSQL the oid ("0" is PUBLIC),
MySQL and MariaDB ``'user'@'host'``. Names of objects are names, not ids: a fact must be readable
years later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.constants.accounts import AccountKind
from app.constants.engines import Engine, TlsMode
from app.constants.reading import TRANSIENT, FailureKind, ScopeStatus

Facts = dict[str, Any]
FactsByKey = dict[str, Facts]


class ReadError(Exception):
    """The server could not be asked, or did not answer in full."""

    def __init__(self, kind: FailureKind, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        """For people; holds no secret."""
        self.remedy = remedy
        """What to do about it: a sentence, or SQL to paste."""
        self.receipt: dict[str, Any] | None = None
        """What the failed attempt cost, where somebody counted."""
        self.coverage: dict[str, int] | None = None

    @property
    def transient(self) -> bool:
        """Whether it is worth trying again within seconds."""
        return self.kind in TRANSIENT

    @property
    def status(self) -> ScopeStatus:
        """How the scope it struck is recorded."""
        return ScopeStatus.DENIED if self.kind is FailureKind.DENIED else ScopeStatus.FAILED


@dataclass
class Receipt:
    """What a read cost the server. One object may be shared by the threads of one instance."""

    queries: int = 0
    rows: int = 0
    bytes: int = 0

    def add(self, *, queries: int = 0, rows: int = 0, bytes: int = 0) -> None:  # noqa: A002 - the unit's name
        """Count more; the sums are exact only after the threads have ended."""
        self.queries += queries
        self.rows += rows
        self.bytes += bytes


@dataclass(frozen=True)
class Target:
    """Where and how to log in."""

    engine: Engine
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str | None = None
    tls_mode: TlsMode = TlsMode.VERIFY_FULL
    tls_ca: str | None = None
    """PEM of the authority; the system's authorities if None."""
    connect_timeout_seconds: float = 10.0
    statement_timeout_seconds: float = 60.0
    lock_timeout_seconds: float = 2.0


@dataclass(frozen=True)
class AccountFact:
    """One account as lists filter it. None is "could not see it"."""

    key: str
    name: str
    kind: AccountKind
    can_login: bool | None
    locked: bool | None
    expires_at: str | None
    """ISO 8601 in UTC, or "never"."""
    privileged_because: tuple[str, ...] = ()
    """Why it counts as privileged, for example "SUPERUSER" or "member of
    pg_execute_server_program"."""


@dataclass(frozen=True)
class DatabaseFact:
    """One database that the server lists."""

    key: str
    name: str
    skip_reason: str | None = None
    """Why it cannot be looked into; None if it can."""
    expected_skip: bool = False
    """Whether that is how every server of the engine comes (template0) and so no failure."""


@dataclass(frozen=True)
class ScopeContent:
    """Everything that one scope answered.

    ``digest`` covers every byte of the answer, the version of the server and of the reader: equal
    digests mean equal facts, so that nobody has to call ``facts``.
    """

    digest: bytes
    facts: Callable[[], FactsByKey]
    """Build the facts, only for accounts that hold something here."""
    size: int = 0
    """Bytes of the raw answer that ``facts`` holds on to."""
    missing: tuple[ReadError, ...] = ()
    """Parts that could not be read. Not empty: the scope is only PARTIAL and nothing in it may
    be closed."""


@dataclass(frozen=True)
class ServerContent(ScopeContent):
    """The server scope, which also knows who and what exists.

    The list of accounts itself is always whole: a reader that cannot read all of it raises
    ReadError.
    """

    accounts: Callable[[], list[AccountFact]] = list
    databases: tuple[DatabaseFact, ...] = ()
    """Those to look into one by one; empty for an engine whose server scope says it all."""
    version: str = ""
    rights: dict[str, bool] = field(default_factory=dict)
    """What our own account may see, right by right, in words of the engine."""


def digest_of(*parts: bytes) -> bytes:
    """Return a 16-byte digest of the parts; where one ends and the next begins counts."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def facts_json(facts: Facts) -> bytes:
    """Return the canonical JSON of facts: equal facts give equal bytes."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
