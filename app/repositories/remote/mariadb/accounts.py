"""What the grant tables of MariaDB say, as facts.

A role is an account with an empty host; the role PUBLIC (10.11 and later) is what everybody has.
Attributes that are at their default are left out, but for the few that lists show. No attribute
holds a secret: of a password only whether it is empty.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from app.repositories.remote.mariadb.access_bits import words_of_access
from app.repositories.remote.mysql import grants
from app.repositories.remote.mysql.accounts import (
    attach,
    everybody_account,
    password_expiry,
    required_tls,
)
from app.repositories.remote.mysql.answers import Answers
from app.repositories.remote.mysql.names import account_key
from app.repositories.remote.mysql.privileged import privileged_because
from app.repositories.remote.mysql_session import Row, Rows

RESERVED = account_key("mariadb.sys", "localhost")
PUBLIC = account_key("PUBLIC", "")
PUBLIC_SINCE = (10, 11, 0)
_TLS = {"1": "ANY", "2": "X509", "3": "SPECIFIED"}
_LIMITS = (
    "max_queries_per_hour",
    "max_updates_per_hour",
    "max_connections_per_hour",
    "max_user_connections",
)
_KNOWN_KEYS = {
    "access", "version_id", "plugin", "authentication_string", "auth_or", "account_locked",
    "is_role", "password_last_changed", "password_lifetime", "default_role", "ssl_type",
    "ssl_cipher",
    "x509_issuer", "x509_subject", "max_questions", "max_updates", "max_connections",
    "max_user_connections", "max_statement_time", "denies",
}  # fmt: skip


def account_facts(answers: Answers, version: tuple[int, int, int]) -> FactsByKey:
    """Return what every account holds."""
    facts: FactsByKey = {}
    found: FactsByKey = {}
    for row in answers.accounts:
        user, host = row[0], row[1]
        facts[account_key(user, host)] = {"attributes": _attributes(row)}
        words = words_of_access(int(row[3] or 0), int(row[4] or 0), version)
        if words:
            entry = grants.grant("global", [], words)
            grants.facts_of(found, user, host)["grants"] = [entry]
    rows = answers.rows
    grants.add_database_grants(found, rows["database_grants"], answers.columns.get("db", ()))
    grants.add_table_grants(found, rows["table_grants"], rows["column_grants"])
    grants.add_routine_grants(found, rows["routine_grants"])
    grants.add_proxy_grants(found, rows["proxy_grants"], empty_host="%")
    _add_memberships(found, rows["role_memberships"], facts)
    attach(facts, found)
    grants.sort_facts(facts)
    return facts


def account_list(
    answers: Answers, facts: FactsByKey, version: tuple[int, int, int]
) -> list[AccountFact]:
    """Return every account as lists filter it."""
    existing = {account_key(row[0], row[1]) for row in answers.accounts}
    nameless = [key for key in facts if key not in existing]
    everybody = list(nameless)
    if version >= PUBLIC_SINCE and PUBLIC in facts:
        everybody.append(PUBLIC)
    reasons = privileged_because(facts, everybody)
    default_days = int(answers.settings.get("default_password_lifetime") or 0)
    listed = []
    for row in answers.accounts:
        key = account_key(row[0], row[1])
        kind = _kind(key, is_role=_true(row[2]), version=version)
        login = kind in (AccountKind.USER, AccountKind.SYSTEM)
        locked = _true(row[9])
        listed.append(
            AccountFact(
                key=key,
                name=facts[key]["attributes"]["name"],
                kind=kind,
                can_login=login and not locked,
                locked=locked if login else None,
                expires_at=_expires_at(row, default_days) if login else "never",
                privileged_because=reasons.get(key, ()),
            )
        )
    listed += [everybody_account(key, facts[key], reasons.get(key, ())) for key in nameless]
    return listed


def _kind(key: str, *, is_role: bool, version: tuple[int, int, int]) -> AccountKind:
    if key == RESERVED:
        return AccountKind.SYSTEM
    if key == PUBLIC and version >= PUBLIC_SINCE:
        return AccountKind.PUBLIC
    return AccountKind.ROLE if is_role else AccountKind.USER


def _attributes(row: Row) -> Facts:
    user, host = row[0], row[1]
    if _true(row[2]):
        attributes: Facts = {"name": user}
    else:
        attributes = {
            "name": f"{user}@{host}",
            "plugin": _plugins(row),
            "account_locked": _true(row[9]),
            "password_expired": row[10] == "0",
            "password_last_changed": _instant(row[10]),
            "password_lifetime": None if row[11] in (None, "-1") else int(row[11]),
            "empty_password": row[8] == "1",
        }
    if row[12]:
        attributes["default_role"] = row[12]
    if row[13] in _TLS:
        attributes["require"] = required_tls(_TLS[row[13]], row[14], row[15], row[16])
    for name, value in zip(_LIMITS, row[17:21], strict=True):
        if value not in (None, "0"):
            attributes[name] = int(value)
    if row[21] is not None and float(row[21]):
        attributes["max_statement_time"] = row[21]
    if row[22] is not None:
        attributes["denies"] = row[22]
    unknown = set(_json_list(row[23])) - _KNOWN_KEYS
    if unknown:
        attributes["unknown_attributes"] = ", ".join(sorted(unknown))
    return attributes


def _plugins(row: Row) -> str:
    """Return every way to log in, in the order in which the server tries them.

    In ``auth_or`` an empty object stands for the plugin that is written beside it.
    """
    plugin = row[5] or "mysql_native_password"
    others = [str(other) for other in _json_list(row[6])]
    if not others:
        return str(plugin)
    first = _true(row[7])
    return " or ".join([plugin, *others] if first else [*others, plugin])


def _json_list(value: str | None) -> list[Any]:
    found = json.loads(value) if value else []
    return found if isinstance(found, list) else [found]


def _add_memberships(found: FactsByKey, rows: Rows, facts: FactsByKey) -> None:
    for user, host, role, admin in rows:
        attributes = facts.get(account_key(user, host), {}).get("attributes", {})
        entry = {
            "role": account_key(role, ""),
            "admin": admin == "Y",
            "default": attributes.get("default_role") == role,
        }
        grants.facts_of(found, user, host).setdefault("memberships", []).append(entry)


def _expires_at(row: Row, default_days: int) -> str | None:
    """Return when the password expires; NULL if it was expired by hand, which leaves no date."""
    if row[10] == "0":
        return None
    days = default_days if row[11] in (None, "-1") else int(row[11])
    return password_expiry(_instant(row[10]), days)


def _instant(seconds: str | None) -> str | None:
    if seconds in (None, "0"):
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _true(value: str | None) -> bool:
    return value in ("1", "true")
