"""Roles as accounts: of which kind each is, and why it counts as privileged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts
from app.repositories.remote.postgresql.acls import BOOTSTRAP, PUBLIC

FIRST_USER_OID = 16384
DANGEROUS = frozenset(
    {
        "pg_execute_server_program",
        "pg_read_server_files",
        "pg_write_server_files",
        "pg_read_all_data",
        "pg_write_all_data",
        "rds_superuser",
        "azure_pg_admin",
        "cloudsqlsuperuser",
        "alloydbsuperuser",
    }
)
"""Roles that give more than their members' ACLs say: the server's files and programs, everybody's
data, or most of what a superuser may do on a hosted server."""

_PRIVILEGED = ("superuser", "createrole", "replication", "bypassrls")

Row = Sequence[str | None]


def attributes(row: Row) -> Facts:
    """Return the attributes of a row of roles.sql."""
    # one role in one dict, spelled out: there may be tens of thousands
    _, name, superuser, createdb, createrole, replication, bypassrls, inherit, login, limit, end = (
        row
    )
    facts: Facts = {
        "name": name,
        "connection_limit": int(limit or -1),
        "superuser": superuser == "t",
        "createdb": createdb == "t",
        "createrole": createrole == "t",
        "replication": replication == "t",
        "bypassrls": bypassrls == "t",
        "inherit": inherit == "t",
        "login": login == "t",
    }
    if end is not None:
        facts["valid_until"] = _instant(end)
    return facts


def accounts(roles: Iterable[Row], memberships: Iterable[Row]) -> list[AccountFact]:
    """Return every role, and PUBLIC, as accounts."""
    by_key = {str(row[0]): attributes(row) for row in roles}
    reasons = _reach(by_key, memberships)
    found = [AccountFact(PUBLIC, "PUBLIC", AccountKind.PUBLIC, False, False, "never")]
    for key, facts in by_key.items():
        own = [name.upper() for name in _PRIVILEGED if facts[name]]
        found.append(
            AccountFact(
                key=key,
                name=facts["name"],
                kind=_kind(key, facts),
                can_login=facts["login"],
                locked=False,
                expires_at=_expiry(facts.get("valid_until")),
                privileged_because=tuple(own + reasons.get(key, [])),
            )
        )
    return found


def _kind(key: str, facts: Facts) -> AccountKind:
    if key == BOOTSTRAP:
        return AccountKind.USER
    if int(key) < FIRST_USER_OID:
        return AccountKind.SYSTEM
    return AccountKind.USER if facts["login"] else AccountKind.ROLE


def _reach(by_key: dict[str, Facts], memberships: Iterable[Row]) -> dict[str, list[str]]:
    """Return per account the dangerous roles that it is in, directly or through others.

    One walk down the memberships for every dangerous role and one for all superusers together:
    linear in the memberships. A membership that can neither be used nor be changed by the member
    (16: no INHERIT, no SET, no ADMIN) leads nowhere.
    """
    members: dict[str, list[str]] = {}
    for member, role, _grantor, *options in memberships:
        if len(options) == 1 or "t" in options:
            members.setdefault(str(role), []).append(str(member))
    reasons: dict[str, list[str]] = {}
    named = [key for key, facts in by_key.items() if facts["name"] in DANGEROUS]
    for key in sorted(named, key=lambda key: str(by_key[key]["name"])):
        for reached in _below([key], members):
            reasons.setdefault(reached, []).append(f"member of {by_key[key]['name']}")
    superusers = [key for key, facts in by_key.items() if facts["superuser"]]
    for reached, through in _below(superusers, members).items():
        if through in by_key:
            reasons.setdefault(reached, []).append(f"member of superuser {by_key[through]['name']}")
    return reasons


def _below(roots: list[str], members: dict[str, list[str]]) -> dict[str, str]:
    """Return every member below the roots with the root that it was first reached from."""
    reached: dict[str, str] = {}
    waiting = deque((root, root) for root in roots)
    while waiting:
        role, root = waiting.popleft()
        for member in members.get(role, ()):
            if member not in reached:
                reached[member] = root
                waiting.append((member, root))
    return reached


def _instant(text: str) -> str:
    """Return a time stamp as the server prints it in UTC, as ISO 8601; infinities as they are."""
    if "infinity" in text:
        return text
    date, _, rest = text.partition(" ")
    return f"{date}T{rest.replace('+00', '+00:00', 1)}"


def _expiry(valid_until: str | None) -> str:
    if valid_until is None or valid_until == "infinity":
        return "never"
    return "0001-01-01T00:00:00+00:00" if valid_until == "-infinity" else valid_until
