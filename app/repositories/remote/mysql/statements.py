"""Facts of a MySQL server as the statements that make them true on another one.

Passwords are not known and not copied: an account that had one gets a random one, which the server
answers to the statement. Second passwords and further factors are left out for the same reason. The
engine's reserved accounts come with every server and are left as they are there.
"""

from __future__ import annotations

import json

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from app.repositories.remote.mysql.accounts import EVERYBODY
from app.repositories.remote.mysql.grant_sql import grants_of, object_sql
from app.repositories.remote.mysql.names import account_sql, literal

_PASSWORD_PLUGINS = {"mysql_native_password", "sha256_password", "caching_sha2_password"}
_SWITCHES = ("partial_revokes", "activate_all_roles_on_login", "activate_mandatory_roles")
_LIMITS = (
    "max_queries_per_hour",
    "max_updates_per_hour",
    "max_connections_per_hour",
    "max_user_connections",
)


def grant_statements(
    accounts: list[AccountFact],
    server: FactsByKey,
    databases: dict[str, FactsByKey],  # noqa: ARG001 - this engine has nothing there
) -> dict[str | None, list[str]]:
    """Return the statements, in order: settings, accounts, grants, roles, partial revokes."""
    everybody = server.get(EVERYBODY, {})
    mandatory = [entry["role"] for entry in everybody.get("memberships", ())]
    statements = [
        f"SET GLOBAL {name} = {everybody['attributes'][name]}"
        for name in _SWITCHES
        if name in everybody.get("attributes", {})
    ]
    if "default_password_lifetime" in everybody.get("attributes", {}):
        days = everybody["attributes"]["default_password_lifetime"]
        statements.append(f"SET GLOBAL default_password_lifetime = {days}")
    ours = [a for a in accounts if a.kind not in (AccountKind.SYSTEM, AccountKind.PUBLIC)]
    facts = {account.key: server.get(account.key, {}) for account in ours}
    for account in ours:
        statements += _creation(account_sql(account.key), facts[account.key].get("attributes", {}))
    for key, held in facts.items():
        statements += grants_of(held, account_sql(key))
    for key, held in facts.items():
        statements += _memberships(key, held)
    names = ",".join(account_sql(role) for role in mandatory)
    statements.append(f"SET GLOBAL mandatory_roles = {literal(names)}")
    for key, held in facts.items():
        default = [account_sql(m["role"]) for m in held.get("memberships", ()) if m.get("default")]
        if default:
            statements.append(f"SET DEFAULT ROLE {', '.join(default)} TO {account_sql(key)}")
        for entry in held.get("revokes", ()):
            where = object_sql("database", entry["name"])
            words = ", ".join(entry["privileges"])
            statements.append(f"REVOKE {words} ON {where} FROM {account_sql(key)}")
    return {None: statements}


def _memberships(key: str, held: Facts) -> list[str]:
    statements = []
    for entry in held.get("memberships", ()):
        if "admin" in entry:
            option = " WITH ADMIN OPTION" if entry["admin"] else ""
            role = account_sql(entry["role"])
            statements.append(f"GRANT {role} TO {account_sql(key)}{option}")
    return statements


def _creation(account: str, attributes: Facts) -> list[str]:
    """Return the creation of one account with every attribute that can be told."""
    plugin = attributes.get("plugin")
    words = ["CREATE USER IF NOT EXISTS", account]
    if plugin:
        words.append(f"IDENTIFIED WITH {literal(plugin)}")
        if plugin in _PASSWORD_PLUGINS and not attributes.get("empty_password"):
            words.append("BY RANDOM PASSWORD")
    words += required(attributes)
    limits = [f"{name.upper()} {attributes[name]}" for name in _LIMITS if name in attributes]
    if limits:
        words += ["WITH", *limits]
    words += _password_policy(attributes)
    words.append("ACCOUNT LOCK" if attributes.get("account_locked") else "ACCOUNT UNLOCK")
    if "attribute" in attributes:
        words.append(f"ATTRIBUTE {literal(attributes['attribute'])}")
    return [" ".join(words)]


def required(attributes: Facts) -> list[str]:
    """Return the REQUIRE clause, empty if nothing is required."""
    value = attributes.get("require")
    if value is None:
        return []
    if not value.startswith("{"):
        return [f"REQUIRE {value}"]
    parts = [f"{word} {literal(text)}" for word, text in json.loads(value).items()]
    return ["REQUIRE", " AND ".join(parts)]


def _password_policy(attributes: Facts) -> list[str]:
    words = []
    lifetime = attributes.get("password_lifetime")
    if attributes.get("password_expired"):
        words.append("PASSWORD EXPIRE")
    if lifetime == 0:
        words.append("PASSWORD EXPIRE NEVER")
    elif lifetime is not None:
        words.append(f"PASSWORD EXPIRE INTERVAL {lifetime} DAY")
    if "password_reuse_history" in attributes:
        words.append(f"PASSWORD HISTORY {attributes['password_reuse_history']}")
    if "password_reuse_days" in attributes:
        words.append(f"PASSWORD REUSE INTERVAL {attributes['password_reuse_days']} DAY")
    if "password_require_current" in attributes:
        optional = "" if attributes["password_require_current"] else " OPTIONAL"
        words.append(f"PASSWORD REQUIRE CURRENT{optional}")
    if "failed_login_attempts" in attributes:
        days = attributes["password_lock_time_days"]
        words.append(f"FAILED_LOGIN_ATTEMPTS {attributes['failed_login_attempts']}")
        words.append(f"PASSWORD_LOCK_TIME {'UNBOUNDED' if days == -1 else days}")
    return words
