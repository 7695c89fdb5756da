"""Why an account of MySQL or MariaDB counts as privileged: whoever can take over the server.

Counted: every word of POWERFUL at the global level (static or dynamic), GRANT OPTION at the
global level, being able to write the grant tables (in the database ``mysql``), being able to act as
another account (PROXY), and reaching a role that has any of these. PROCESS, RELOAD and REPLICATION
CLIENT are not counted: they look or flush, every monitoring account has them. Reading everything is
not counted either, but FILE (reads and writes files of the server) and REPLICATION SLAVE (is sent
every change) are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.repositories.remote.facts import Facts, FactsByKey
from app.repositories.remote.mysql.names import split_key

POWERFUL = frozenset(
    {
        # static
        "SUPER", "CREATE USER", "CREATE ROLE", "DROP ROLE", "FILE", "SHUTDOWN",
        "REPLICATION SLAVE",
        # dynamic, MySQL
        "ALLOW_NONEXISTENT_DEFINER", "APPLICATION_PASSWORD_ADMIN", "AUDIT_ADMIN",
        "AUTHENTICATION_POLICY_ADMIN", "BACKUP_ADMIN", "BINLOG_ADMIN", "BINLOG_ENCRYPTION_ADMIN",
        "CLONE_ADMIN", "CONNECTION_ADMIN", "ENCRYPTION_KEY_ADMIN", "FIREWALL_ADMIN",
        "GROUP_REPLICATION_ADMIN", "MANAGE_DATA_MASKING_POLICY", "PASSWORDLESS_USER_ADMIN",
        "PERSIST_RO_VARIABLES_ADMIN", "REPLICATION_APPLIER", "REPLICATION_SLAVE_ADMIN",
        "ROLE_ADMIN", "SENSITIVE_VARIABLES_OBSERVER", "SERVICE_CONNECTION_ADMIN",
        "SET_ANY_DEFINER", "SET_USER_ID", "SYSTEM_USER", "SYSTEM_VARIABLES_ADMIN",
        "TABLE_ENCRYPTION_ADMIN",
        # MariaDB
        "BINLOG ADMIN", "BINLOG REPLAY", "CONNECTION ADMIN", "FEDERATED ADMIN", "READ_ONLY ADMIN",
        "REPLICATION MASTER ADMIN", "REPLICATION SLAVE ADMIN", "SET USER",
    }
)  # fmt: skip
_WRITES = {"INSERT", "UPDATE", "DELETE"}
_GRANT_TABLES = {
    "user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "global_grants",
    "role_edges", "default_roles", "global_priv", "roles_mapping",
}  # fmt: skip


def privileged_because(
    facts: FactsByKey, everybody: Iterable[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the reasons of every account that has any.

    Args:
        facts: of every account.
        everybody: keys of what every account has: mandatory roles, PUBLIC.

    """
    direct: dict[str, tuple[str, ...]] = {
        key: why for key, held in facts.items() if (why := _direct(held))
    }
    roles_of = {
        key: [entry["role"] for entry in held["memberships"]]
        for key, held in facts.items()
        if "memberships" in held
    }
    shared = tuple(everybody)
    from_everybody = _reachable(shared, roles_of, direct)
    reached: dict[tuple[str, ...], list[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for key in facts:
        reasons = [*direct.get(key, ())]
        roles = tuple(roles_of.get(key, ()))
        if roles not in reached:
            reached[roles] = _reachable(roles, roles_of, direct)
        reasons += [f"member of {_display(role)}" for role in reached[roles] if role != key]
        reasons += [
            f"everybody has {_display(role)}"
            for role in from_everybody
            if role != key and role not in reached[roles]
        ]
        if reasons:
            found[key] = tuple(reasons)
    return found


def _reachable(
    start: Iterable[str], roles_of: dict[str, list[str]], wanted: dict[str, tuple[str, ...]]
) -> list[str]:
    """Return the wanted roles that can be reached, nearest first."""
    seen: dict[str, None] = {}
    waiting = list(start)
    while waiting:
        role = waiting.pop(0)
        if role not in seen:
            seen[role] = None
            waiting += roles_of.get(role, ())
    return [role for role in seen if role in wanted]


def _direct(facts: Facts) -> tuple[str, ...]:
    reasons: list[str] = []
    shielded = {
        word
        for entry in facts.get("revokes", ())
        if entry["name"] == ["mysql"]
        for word in entry["privileges"]
    }
    for entry in facts.get("grants", ()):
        words = {*entry.get("privileges", ()), *entry.get("grantable", ())}
        on, name = entry["on"], entry["name"]
        if on == "global":
            if any(
                "_" not in word or word == "READ_ONLY ADMIN" for word in entry.get("grantable", ())
            ):
                reasons.append("GRANT OPTION ON *.*")
            reasons += sorted(words & POWERFUL)
            writes = (words & _WRITES) - shielded
        elif on == "database":
            writes = words & _WRITES if _matches_mysql(name[0]) else set()
        elif on in ("table", "column"):
            writes = words & _WRITES if name[0] == "mysql" and name[1] in _GRANT_TABLES else set()
        else:
            if on == "proxy":
                reasons.append(f"PROXY ON {_display(name[0])}")
            continue
        if writes:
            where = (
                "*.*" if on == "global" else ".".join([*name, "*"] if on == "database" else name)
            )
            reasons.append(f"{'/'.join(sorted(writes))} ON {where} (grant tables)")
    return tuple(reasons)


def _matches_mysql(pattern: str) -> bool:
    """Whether a database pattern covers the database ``mysql``."""
    parts = re.findall(r"%+|\\\\?.", pattern, re.DOTALL)
    wildcards = {"_": ".", "%": ".*"}
    expression = "".join(wildcards.get(part[:1], re.escape(part[-1:])) for part in parts)
    return re.fullmatch(expression, "mysql", re.DOTALL) is not None


def _display(key: str) -> str:
    user, host = split_key(key)
    return f"{user}@{host}" if host else user or "anybody"
