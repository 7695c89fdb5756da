"""Facts of a MariaDB server as the statements that make them true on another one.

Passwords are not known and not copied: an account that had one gets one that nobody can give.
The engine's reserved account comes with every server and is left as it is there.
"""

from __future__ import annotations

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from app.repositories.remote.mysql.grant_sql import grants_of
from app.repositories.remote.mysql.names import (
    account_sql,
    identifier,
    literal,
    split_key,
)
from app.repositories.remote.mysql.statements import required

_PASSWORD_PLUGINS = {"mysql_native_password", "ed25519", "parsec"}
_LIMITS = (
    "max_queries_per_hour",
    "max_updates_per_hour",
    "max_connections_per_hour",
    "max_user_connections",
    "max_statement_time",
)


def grant_statements(
    accounts: list[AccountFact],
    server: FactsByKey,
    databases: dict[str, FactsByKey],  # noqa: ARG001 - this engine has nothing there
) -> dict[str | None, list[str]]:
    """Return the statements, in order: roles, accounts, grants, memberships, default roles."""
    public = {a.key for a in accounts if a.kind is AccountKind.PUBLIC}
    ours = [a.key for a in accounts if a.kind is not AccountKind.SYSTEM and _creatable(a)]
    roles = [a.key for a in accounts if a.kind is AccountKind.ROLE]
    statements = [f"CREATE ROLE IF NOT EXISTS {_grantee(key)}" for key in roles]
    for account in accounts:
        if account.kind is AccountKind.USER:
            attributes = server.get(account.key, {}).get("attributes", {})
            statements.append(_creation(account_sql(account.key), attributes))
    for key in ours:
        statements += grants_of(server.get(key, {}), _grantee(key, public))
    members: dict[str, dict[str, bool]] = {}
    for key in ours:
        for entry in server.get(key, {}).get("memberships", ()):
            members.setdefault(entry["role"], {})[key] = entry["admin"]
            option = " WITH ADMIN OPTION" if entry["admin"] else ""
            statements.append(f"GRANT {_grantee(entry['role'])} TO {_grantee(key, public)}{option}")
    statements += [_take_back(role, members.get(role, {})) for role in roles]
    for key in ours:
        for entry in server.get(key, {}).get("memberships", ()):
            if entry.get("default"):
                role = _grantee(entry["role"])
                statements.append(f"SET DEFAULT ROLE {role} FOR {_grantee(key, public)}")
    return {None: statements}


def _creatable(account: AccountFact) -> bool:
    """Whether statements can name it: not what stands for the missing user without a name."""
    return account.kind is not AccountKind.PUBLIC or split_key(account.key)[1] == ""


def _grantee(key: str, public: set[str] | frozenset[str] = frozenset()) -> str:
    """Return an account as statements name it: a role by its name alone."""
    user, host = split_key(key)
    if key in public:
        return "PUBLIC"
    return account_sql(key) if host else identifier(user)


def _take_back(role: str, members: dict[str, bool]) -> str:
    """Undo that whoever creates a role administers it, unless that is how it was."""
    name = _grantee(role)
    admins = [_current_user(key) for key, admin in members.items() if admin]
    others = [_current_user(key) for key, admin in members.items() if not admin]
    keep = f"WHEN CURRENT_USER() IN ({', '.join(admins)}) THEN 'DO 0'" if admins else ""
    reduce = literal(f"REVOKE ADMIN OPTION FOR {name} FROM CURRENT_USER")
    reduced = f"WHEN CURRENT_USER() IN ({', '.join(others)}) THEN {reduce}" if others else ""
    remove = literal(f"REVOKE {name} FROM CURRENT_USER")
    if not (keep or reduced):
        return f"EXECUTE IMMEDIATE {remove}"
    return f"EXECUTE IMMEDIATE CASE {keep} {reduced} ELSE {remove} END"


def _current_user(key: str) -> str:
    user, host = split_key(key)
    return literal(f"{user}@{host}")


def _creation(account: str, attributes: Facts) -> str:
    """Return the creation of one user with every attribute that can be told."""
    words = ["CREATE USER IF NOT EXISTS", account]
    ways = [
        f"{plugin} USING 'invalid'" if _has_password(plugin, attributes) else plugin
        for plugin in attributes.get("plugin", "").split(" or ")
        if plugin
    ]
    if ways not in ([], ["mysql_native_password"]):
        words.append(f"IDENTIFIED VIA {' OR '.join(ways)}")
    words += required(attributes)
    limits = [f"{name.upper()} {attributes[name]}" for name in _LIMITS if name in attributes]
    if limits:
        words += ["WITH", *limits]
    lifetime = attributes.get("password_lifetime")
    if attributes.get("password_expired"):
        words.append("PASSWORD EXPIRE")
    elif lifetime == 0:
        words.append("PASSWORD EXPIRE NEVER")
    elif lifetime is not None:
        words.append(f"PASSWORD EXPIRE INTERVAL {lifetime} DAY")
    if attributes.get("account_locked"):
        words.append("ACCOUNT LOCK")
    return " ".join(words)


def _has_password(plugin: str, attributes: Facts) -> bool:
    return plugin == "mysql_native_password" and not attributes.get("empty_password")
