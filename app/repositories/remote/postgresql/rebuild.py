"""From facts back to SQL: the statements that make them true on a server with the same objects."""

from __future__ import annotations

from collections.abc import Iterable

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from app.repositories.remote.postgresql.acls import BOOTSTRAP, PUBLIC
from app.repositories.remote.postgresql.quoting import identifier, literal
from app.repositories.remote.postgresql.rebuild_objects import object_statements

_FLAGS = (
    ("superuser", "SUPERUSER"),
    ("createdb", "CREATEDB"),
    ("createrole", "CREATEROLE"),
    ("replication", "REPLICATION"),
    ("bypassrls", "BYPASSRLS"),
    ("inherit", "INHERIT"),
    ("login", "LOGIN"),
)
_OBJECTS_OF = {
    "table": "TABLES",
    "sequence": "SEQUENCES",
    "routine": "ROUTINES",
    "type": "TYPES",
    "schema": "SCHEMAS",
    "large object": "LARGE OBJECTS",
}


def grant_statements(
    accounts: list[AccountFact], server: FactsByKey, databases: dict[str, FactsByKey]
) -> dict[str | None, list[str]]:
    """Return the statements that make these facts true on a server that has the same objects.

    They are for the superuser that initdb made, in this order: roles, memberships, owners, what was
    taken from owners and PUBLIC, what owners granted, what others granted on, default privileges.
    Passwords are nobody's to know. The objects are to be as they were created: nothing granted yet.

    The result maps a database's name (None: any database, for the server's own) to its statements.
    """
    roles = {
        account.key: identifier(account.name)
        for account in accounts
        if account.kind is not AccountKind.PUBLIC
    }
    roles[PUBLIC] = "PUBLIC"
    superusers = {
        key for key, facts in server.items() if facts.get("attributes", {}).get("superuser")
    }
    system = {account.key for account in accounts if account.kind is AccountKind.SYSTEM}
    everywhere = [
        *_role_statements(accounts, server),
        *_membership_statements(server, roles, system),
        *object_statements(server, roles, superusers),
    ]
    result: dict[str | None, list[str]] = {None: everywhere}
    for name, facts in databases.items():
        result[name] = [
            *object_statements(facts, roles, superusers),
            *_default_statements(facts, roles),
        ]
    return result


def _role_statements(accounts: Iterable[AccountFact], server: FactsByKey) -> Iterable[str]:
    for account in accounts:
        attributes = server.get(account.key, {}).get("attributes")
        if not attributes or account.kind in {AccountKind.SYSTEM, AccountKind.PUBLIC}:
            continue
        verb = "CREATE ROLE"
        if account.key == BOOTSTRAP:
            verb = "ALTER ROLE"  # initdb made it
            if _as_initdb_left_it(attributes):
                continue
        words = [word if attributes[name] else f"NO{word}" for name, word in _FLAGS]
        words.append(f"CONNECTION LIMIT {attributes['connection_limit']}")
        if "valid_until" in attributes:
            words.append(f"VALID UNTIL {literal(attributes['valid_until'])}")
        yield f"{verb} {identifier(account.name)} WITH {' '.join(words)}"


def _as_initdb_left_it(attributes: Facts) -> bool:
    flags = all(attributes[name] for name, _ in _FLAGS)
    return flags and attributes["connection_limit"] == -1 and "valid_until" not in attributes


def _membership_statements(
    server: FactsByKey, roles: dict[str, str], system: set[str]
) -> Iterable[str]:
    """Yield the grants of roles, each after the one that gave its grantor the right to it."""
    waiting = [
        (member, fact)
        for member, facts in server.items()
        for fact in facts.get("memberships", ())
        if member in roles
        and fact["role"] in roles
        and not (member in system and fact["role"] in system)
    ]
    may_grant: set[tuple[str, str]] = set()
    while waiting:
        later = []
        for member, fact in waiting:
            by = fact["by"]
            if by == BOOTSTRAP or by not in roles or (by, fact["role"]) in may_grant:
                yield _membership(roles[member], fact, roles)
                if fact["admin"]:
                    may_grant.add((member, fact["role"]))
            else:
                later.append((member, fact))
        if len(later) == len(waiting):  # before 16 a grantor may have lost that right since
            yield from (_membership(roles[member], fact, roles) for member, fact in later)
            return
        waiting = later


def _membership(member: str, fact: Facts, roles: dict[str, str]) -> str:
    if "set" in fact:
        flags = ((word, fact[word]) for word in ("admin", "inherit", "set"))
        options = "WITH " + ", ".join(f"{word.upper()} {value}".upper() for word, value in flags)
    else:
        options = "WITH ADMIN OPTION" if fact["admin"] else ""
    by = f"GRANTED BY {roles[fact['by']]}" if fact["by"] in roles else ""
    return " ".join(filter(None, [f"GRANT {roles[fact['role']]} TO {member}", options, by]))


def _default_statements(facts_by_key: FactsByKey, roles: dict[str, str]) -> Iterable[str]:
    for creator, facts in facts_by_key.items():
        for fact in facts.get("default_grants", ()):
            if creator not in roles or fact["to"] not in roles:
                continue
            schema = fact["schema"]
            where = f" IN SCHEMA {identifier(schema)}" if schema is not None else ""
            start = f"ALTER DEFAULT PRIVILEGES FOR ROLE {roles[creator]}{where}"
            objects, to = _OBJECTS_OF[fact["on"]], roles[fact["to"]]
            if schema is None:
                yield f"{start} REVOKE ALL ON {objects} FROM {to}"
            if plain := fact.get("privileges"):
                yield f"{start} GRANT {', '.join(plain)} ON {objects} TO {to}"
            if grantable := fact.get("grantable"):
                granted = ", ".join(grantable)
                yield f"{start} GRANT {granted} ON {objects} TO {to} WITH GRANT OPTION"
