"""The server scope: who exists, who is in which role, and what the shared objects grant."""

from __future__ import annotations

from app.repositories.remote.facts import (
    AccountFact,
    DatabaseFact,
    Facts,
    FactsByKey,
    ServerContent,
    digest_of,
)
from app.repositories.remote.postgresql.acls import BOOTSTRAP, PUBLIC, Acls, Ledger, whole
from app.repositories.remote.postgresql.copy_text import rows
from app.repositories.remote.postgresql.roles import accounts, attributes
from app.repositories.remote.postgresql.session import Session

READER_VERSION = b"1"
"""Changes whenever the same answers would give other facts."""

_PARTS = [
    "roles",
    "memberships",
    "databases",
    "tablespaces",
    "server_acls",
    "built_in_defaults",
    "own_rights",
]


def read_server(session: Session) -> ServerContent:
    """Read who exists, what they hold on the server, and which databases there are.

    All or nothing: a part that cannot be read raises ReadError.
    """
    parts = _PARTS + (["parameters"] if session.major >= 15 else [])
    raw = session.copy_out(parts)
    encoding = session.encoding
    listed = list(rows(raw["databases"], encoding))
    databases = tuple(listed_database(row) for row in listed)
    rights = {str(name): held == "t" for name, held in rows(raw["own_rights"], encoding)}
    rights |= {
        f"connect:{row[1]}": row[6] == "t"
        for row, database in zip(listed, databases, strict=True)
        if database.skip_reason is None
    }

    def facts() -> FactsByKey:
        return _facts(raw, encoding)

    def known_accounts() -> list[AccountFact]:
        return accounts(rows(raw["roles"], encoding), rows(raw["memberships"], encoding))

    return ServerContent(
        digest=digest_of(
            READER_VERSION, str(session.version_number).encode(), *(raw[part] for part in parts)
        ),
        facts=facts,
        accounts=known_accounts,
        databases=databases,
        version=session.version,
        rights=rights,
    )


def listed_database(row: list[str | None]) -> DatabaseFact:
    """Return what a row of databases.sql says."""
    key, name, _owner, allows_connections, is_template, limit = (str(field) for field in row[:6])
    reason = None
    if limit == "-2":
        reason = "invalid: a DROP or CREATE DATABASE was interrupted; drop it"
    elif allows_connections == "f":
        reason = "does not allow connections (datallowconn = false)"
    expected = allows_connections == "f" and is_template == "t" and name == "template0"
    return DatabaseFact(key=key, name=name, skip_reason=reason, expected_skip=expected)


def _facts(raw: dict[str, bytes], encoding: str) -> FactsByKey:
    ledger = Ledger()
    ledger.set_attributes(PUBLIC, {"name": "PUBLIC"})
    for row in rows(raw["roles"], encoding):
        ledger.set_attributes(str(row[0]), attributes(row))
    for row in rows(raw["memberships"], encoding):
        ledger.add(str(row[0]), "memberships", _membership(row))
    acls = Acls(
        rows(raw["server_acls"], encoding),
        rows(raw["built_in_defaults"], encoding),
    )
    for _, name, owner, _, _, _, _, acl in rows(raw["databases"], encoding):
        reading = acls.understand("d", str(owner), acl, False, None)
        ledger.add_object("database", [str(name)], str(owner), reading)
    for name, owner, acl in rows(raw["tablespaces"], encoding):
        reading = acls.understand("t", str(owner), acl, False, None)
        ledger.add_object("tablespace", [str(name)], str(owner), reading)
    for name, acl in rows(raw.get("parameters", b""), encoding):
        _add_parameter(ledger, acls, str(name), acl)
    return ledger.finish()


def _add_parameter(ledger: Ledger, acls: Acls, name: str, acl: str | None) -> None:
    """Add a parameter: it belongs to nobody, so what its keeper lost is told as a revoke."""
    default = acls.default("p", BOOTSTRAP)
    current = default if acl is None else acls.entries(acl)
    reading = whole(current, default, BOOTSTRAP)
    if reading.reduced:
        held = {
            word
            for entry in current
            if entry.grantee == entry.grantor == BOOTSTRAP
            for word in entry.privileges + entry.grantable
        }
        lost = sorted(set(default[0].privileges) - held)
        grants = tuple(grant for grant in reading.grants if grant[0] != BOOTSTRAP)
        reading = reading._replace(grants=grants, reduced=False, revokes=((BOOTSTRAP, lost),))
    ledger.add_object("parameter", [name], None, reading)


def _membership(row: list[str | None]) -> Facts:
    _, role, grantor, *options = row
    fact: Facts = {"role": role, "by": grantor, "admin": options[0] == "t"}
    if len(options) > 1:  # from version 16
        fact["inherit"] = options[1] == "t"
        fact["set"] = options[2] == "t"
    return fact
