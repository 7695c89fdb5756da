"""What the grant tables of MySQL say, as facts.

Beside the accounts there is always one that the server does not list: EVERYBODY. Its attributes
are the settings that decide what accounts may do, its memberships are the mandatory roles.

A role is a row like any other. Taken for a role: a locked account that is granted to somebody, is
mandatory, or is exactly what CREATE ROLE leaves (locked, expired, no password). An account that is
granted to others but can log in stays a user.

Attributes that are at their default are left out, but for the few that lists show. No attribute
holds a secret: of a password only whether it is empty, of a second one only that there is one.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from app.constants.accounts import AccountKind
from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from app.repositories.remote.mysql import grants
from app.repositories.remote.mysql.answers import Answers
from app.repositories.remote.mysql.names import account_key, split_key
from app.repositories.remote.mysql.privileged import privileged_because
from app.repositories.remote.mysql_session import Row, Rows

EVERYBODY = "@@mandatory_roles"
RESERVED = {
    account_key(user, "localhost") for user in ("mysql.sys", "mysql.session", "mysql.infoschema")
}
_TOLD_OF_EVERYBODY = (
    "activate_all_roles_on_login",
    "activate_mandatory_roles",
    "default_password_lifetime",
    "partial_revokes",
)
_LIMITS = (
    "max_queries_per_hour",
    "max_updates_per_hour",
    "max_connections_per_hour",
    "max_user_connections",
)
_PART = r"""(`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|[^@,`'"\s]+)"""
_ROLE = re.compile(rf"\s*{_PART}(?:\s*@\s*{_PART})?\s*(?:,|$)", re.DOTALL)


def account_facts(answers: Answers) -> FactsByKey:
    """Return what every account, and everybody, holds."""
    facts: FactsByKey = {}
    for row in answers.accounts:
        user, host = row[0], row[1]
        facts[account_key(user, host)] = {"attributes": _attributes(row)}
        _add_revokes(facts[account_key(user, host)], row[20])
    found: FactsByKey = {}
    _add_global_grants(found, answers)
    rows = answers.rows
    grants.add_database_grants(found, rows["database_grants"], answers.columns.get("db", ()))
    grants.add_table_grants(found, rows["table_grants"], rows["column_grants"])
    grants.add_routine_grants(found, rows["routine_grants"])
    grants.add_proxy_grants(found, rows["proxy_grants"])
    mandatory = mandatory_roles(answers.settings.get("mandatory_roles", ""))
    _add_memberships(found, rows["role_memberships"], rows["default_roles"], set(mandatory))
    attach(facts, found)
    facts[EVERYBODY] = _everybody(answers)
    grants.sort_facts(facts)
    return facts


def attach(facts: FactsByKey, found: FactsByKey) -> None:
    """Give each account what was found of it.

    Rows of accounts that do not exist give nobody anything and are left out, with one exception: a
    database grant of a user without a name holds for everybody, whether that account exists or not.
    """
    for key, held in found.items():
        if key in facts:
            facts[key].update(held)
            continue
        everywhere = [g for g in held.get("grants", ()) if g["on"] == "database"]
        user, host = split_key(key)
        if user == "" and everywhere:
            facts[key] = {"attributes": {"name": f"@{host} (everybody)"}, "grants": everywhere}


def account_list(answers: Answers, facts: FactsByKey) -> list[AccountFact]:
    """Return every account as lists filter it."""
    mandatory = [entry["role"] for entry in facts[EVERYBODY].get("memberships", ())]
    granted = {account_key(row[2], row[3]) for row in answers.rows["role_memberships"]}
    existing = {account_key(row[0], row[1]) for row in answers.accounts}
    everybody = [key for key in facts if key not in existing]
    reasons = privileged_because(facts, [*mandatory, *everybody])
    default_days = int(answers.settings.get("default_password_lifetime") or 0)
    listed = []
    for row in answers.accounts:
        key = account_key(row[0], row[1])
        kind = _kind(key, facts[key]["attributes"], {*granted, *mandatory})
        locked = row[3] == "Y"
        listed.append(
            AccountFact(
                key=key,
                name=f"{row[0]}@{row[1]}",
                kind=kind,
                can_login=not locked,
                locked=locked,
                expires_at="never" if kind is AccountKind.ROLE else _expires_at(row, default_days),
                privileged_because=reasons.get(key, ()),
            )
        )
    listed += [everybody_account(key, facts[key], reasons.get(key, ())) for key in everybody]
    return listed


def everybody_account(key: str, facts: Facts, reasons: tuple[str, ...]) -> AccountFact:
    """Return what stands for everybody in the list of accounts."""
    name = str(facts["attributes"]["name"])
    return AccountFact(key, name, AccountKind.PUBLIC, False, None, "never", reasons)


def mandatory_roles(value: str) -> list[str]:
    """Return the keys of the roles in the setting ``mandatory_roles``: "r1, `r2`@`%`"."""
    return [
        account_key(_unquoted(user), _unquoted(host or "%")) for user, host in _ROLE.findall(value)
    ]


def _unquoted(part: str) -> str:
    """Return a name as the server's own parser reads it."""
    quote = part[0]
    if quote not in "`'\"":
        return part
    text = part[1:-1].replace(quote * 2, quote)
    return text if quote == "`" else re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _everybody(answers: Answers) -> Facts:
    settings = answers.settings
    attributes = {"name": "mandatory_roles (everybody)"}
    attributes |= {name: settings[name] for name in _TOLD_OF_EVERYBODY if name in settings}
    roles = mandatory_roles(settings.get("mandatory_roles", ""))
    facts: Facts = {"attributes": attributes}
    if roles:
        facts["memberships"] = [{"role": role, "admin": False} for role in sorted(set(roles))]
    return facts


def _attributes(row: Row) -> Facts:
    attributes: Facts = {
        "name": f"{row[0]}@{row[1]}",
        "plugin": row[2],
        "account_locked": row[3] == "Y",
        "password_expired": row[4] == "Y",
        "password_last_changed": row[5],
        "password_lifetime": None if row[6] is None else int(row[6]),
        "empty_password": row[7] == "1",
    }
    if row[8]:
        attributes["require"] = required_tls(row[8], row[9], row[10], row[11])
    for name, value in zip(_LIMITS, row[12:16], strict=True):
        if value != "0":
            attributes[name] = int(value)
    for name, value in zip(
        ("password_reuse_history", "password_reuse_days"), row[16:18], strict=True
    ):
        if value is not None:
            attributes[name] = int(value)
    if row[18] is not None:
        attributes["password_require_current"] = row[18] == "Y"
    if row[19] == "1":
        attributes["second_password"] = True
    if row[21] is not None:
        locking = json.loads(row[21])
        attributes["failed_login_attempts"] = locking.get("failed_login_attempts", 0)
        attributes["password_lock_time_days"] = locking.get("password_lock_time_days", 0)
    if row[22] is not None:
        attributes["attribute"] = json.dumps(
            json.loads(row[22]), ensure_ascii=False, sort_keys=True
        )
    if row[23] is not None:
        attributes["further_factors"] = ", ".join(json.loads(row[23]))
    known = {"Restrictions", "Password_locking", "metadata", "multi_factor_authentication"}
    unknown = set(json.loads(row[24] or "[]")) - known - {"additional_password"}
    if unknown:
        attributes["unknown_attributes"] = ", ".join(sorted(unknown))
    return attributes


def required_tls(kind: str, cipher: str, issuer: str, subject: str) -> str:
    """Return what the account requires of a connection, in the words of REQUIRE."""
    if kind != "SPECIFIED":
        return "SSL" if kind == "ANY" else kind
    parts = zip(("CIPHER", "ISSUER", "SUBJECT"), (cipher, issuer, subject), strict=True)
    return json.dumps({word: value for word, value in parts if value}, ensure_ascii=False)


def _add_revokes(facts: Facts, restrictions: str | None) -> None:
    if restrictions is not None:
        facts["revokes"] = [
            {
                "on": "database",
                "name": [entry["Database"]],
                "privileges": sorted(entry["Privileges"]),
            }
            for entry in json.loads(restrictions)
        ]


def _add_global_grants(found: FactsByKey, answers: Answers) -> None:
    """Add static and dynamic privileges: one level, but each dynamic one has its own option."""
    words = [grants.word_of_column(column) for column in answers.columns["user"]]
    privileges: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for row in answers.accounts:
        held = grants.words_of_flags(words, row[25])
        if held:
            fact = grants.grant("global", [], held)
            both = set(fact.get("privileges", ())), set(fact.get("grantable", ()))
            privileges[row[0], row[1]] = both
    for user, host, word, with_option in answers.rows["dynamic_privileges"]:
        plain, grantable = privileges.setdefault((user, host), (set(), set()))
        (grantable if with_option == "Y" else plain).add(word)
    for (user, host), (plain, grantable) in privileges.items():
        entry: Facts = {"on": "global", "name": []}
        if plain:
            entry["privileges"] = sorted(plain)
        if grantable:
            entry["grantable"] = sorted(grantable)
        grants.facts_of(found, user, host).setdefault("grants", []).append(entry)


def _add_memberships(found: FactsByKey, edges: Rows, defaults: Rows, mandatory: set[str]) -> None:
    """Add granted and default roles; one without "admin" is had only as a mandatory role.

    A default role that is neither granted nor mandatory is a leftover (DROP USER leaves such rows)
    and never active.
    """
    entries: dict[tuple[str, str, str], Facts] = {}
    for user, host, role, role_host, admin in edges:
        key = account_key(role, role_host)
        entries[user, host, key] = {"role": key, "admin": admin == "Y", "default": False}
    for user, host, role, role_host in defaults:
        key = account_key(role, role_host)
        if (user, host, key) in entries or key in mandatory:
            entries.setdefault((user, host, key), {"role": key})["default"] = True
    for (user, host, _), entry in entries.items():
        grants.facts_of(found, user, host).setdefault("memberships", []).append(entry)


def _kind(key: str, attributes: Facts, used_as_role: set[str]) -> AccountKind:
    if key in RESERVED:
        return AccountKind.SYSTEM
    if attributes["account_locked"] and (
        key in used_as_role or (attributes["password_expired"] and attributes["empty_password"])
    ):
        return AccountKind.ROLE
    return AccountKind.USER


def _expires_at(row: Row, default_days: int) -> str | None:
    """Return when the password expires; if it was expired by hand: when it was last changed."""
    changed, days = row[5], default_days if row[6] is None else int(row[6])
    if row[4] == "Y":
        return str(changed) if changed else None
    return password_expiry(changed, days)


def password_expiry(changed: str | None, days: int) -> str | None:
    """Return when a password that was changed then expires, "never" without a policy."""
    if days <= 0:
        return "never"
    if changed is None:
        return None
    at = datetime.strptime(changed, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (at + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
