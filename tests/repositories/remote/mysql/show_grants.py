"""SHOW GRANTS as a set of single claims, and facts as the same: the engine's own word on them."""

from __future__ import annotations

import re
from typing import Any

from app.constants.engines import Engine
from app.repositories.remote.facts import FactsByKey
from app.repositories.remote.mariadb.access_bits import words_of_access
from app.repositories.remote.mysql.grants import word_of_column, words_of_set
from app.repositories.remote.mysql.names import account_key, account_sql, identifier, split_key
from tests.fixtures.mysql import TestServer

Claim = tuple[Any, ...]
_TOKEN = re.compile(
    r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"|[(),.@*]|[^\s(),.@*`'\"]+"
)


def claims_of_facts(facts: FactsByKey, key: str) -> set[Claim]:
    claims: set[Claim] = set()
    for entry in facts[key].get("grants", ()):
        for part in ("privileges", "grantable"):
            for word in entry.get(part, ()):
                claims.add((entry["on"], tuple(entry["name"]), word, part == "grantable"))
    for entry in facts[key].get("memberships", ()):
        if "admin" in entry:
            claims.add(("role", entry["role"], entry["admin"]))
    for entry in facts[key].get("revokes", ()):
        claims |= {("revoke", tuple(entry["name"]), word) for word in entry["privileges"]}
    return _without_empty(claims)


def claims_of_server(server: TestServer, key: str, using: str = "") -> set[Claim]:
    user, host = split_key(key)
    who = account_sql(key) if host else identifier(user)
    if key == "'PUBLIC'@''":
        who = "PUBLIC"
    claims: set[Claim] = set()
    for (line,) in server.run(f"SHOW GRANTS FOR {who}{using}"):
        claims |= _claims_of_line(server, line, key)
    return _without_empty(claims)


def _without_empty(claims: set[Claim]) -> set[Claim]:
    """Drop what says nothing: USAGE without an option of its own, a column of a granted table."""
    with_option = {
        _level(claim) for claim in claims if len(claim) == 4 and claim[3] and claim[2] != "USAGE"
    }

    def says_something(claim: Claim) -> bool:
        if len(claim) != 4:
            return True
        if claim[2] == "USAGE":
            return claim[3] and _level(claim) not in with_option
        return claim[0] != "column" or ("table", claim[1][:2], *claim[2:]) not in claims

    return {claim for claim in claims if says_something(claim)}


def _level(claim: Claim) -> tuple[str, tuple[str, ...]]:
    on, name = claim[0], claim[1]
    return ("table", name[:2]) if on == "column" else (on, name)


def _claims_of_line(server: TestServer, line: str, key: str) -> set[Claim]:
    tokens = _TOKEN.findall(line)
    verb, rest = tokens[0], tokens[1:]
    if verb == "SET":
        return set()
    end = rest.index("TO") if verb == "GRANT" else rest.index("FROM")
    host_at = end + 2 if rest[end + 2 : end + 3] == ["@"] else end
    if _accounts(rest[end + 1 : host_at + 2]) != [key]:
        return set()  # MariaDB also lists what a role has through other roles
    option = ["GRANT", "OPTION"] in [rest[i : i + 2] for i in range(end, len(rest))]
    if "ON" not in rest[:end]:
        admin = ["ADMIN", "OPTION"] in [rest[i : i + 2] for i in range(end, len(rest))]
        return {("role", key, admin) for key in _accounts(rest[:end])}
    at = rest.index("ON")
    words, where = _privileges(rest[:at]), rest[at + 1 : end]
    if words == [("PROXY", None)]:
        return {("proxy", tuple(_accounts(where)), "PROXY", option)}
    on, name = _object(where)
    claims: set[Claim] = set()
    for word, column in words:
        if verb == "REVOKE":
            claims.add(("revoke", name, word))
        elif column is not None:
            claims.add(("column", (*name, column), word, option))
        elif word in ("ALL", "ALL PRIVILEGES"):
            claims |= {(on, name, each, option) for each in _all_words(server, on)}
        else:
            claims.add((on, name, _ALIASES.get(word, word), option))
    return claims


_ALIASES = {"DELETE VERSIONING ROWS": "DELETE HISTORY"}


def _privileges(tokens: list[str]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    word: list[str] = []
    inside = False
    for token in [*tokens, ","]:
        if token == "(":
            inside = True
        elif token == ")":
            inside, word = False, []
        elif token == "," and not inside:
            if word:
                found.append((" ".join(word), None))
            word = []
        elif inside and token != ",":
            found.append((" ".join(word), _unquoted(token)))
        elif not inside:
            word.append(token)
    return found


def _object(tokens: list[str]) -> tuple[str, tuple[str, ...]]:
    kind = []
    while tokens[0] != "*" and tokens[0][0] not in "`'\"":
        kind.append(tokens[0])
        tokens = tokens[1:]
    if tokens == ["*", ".", "*"]:
        return "global", ()
    if tokens[-1] == "*":
        return "database", (_unquoted(tokens[0]),)
    return " ".join(kind).lower() or "table", (_unquoted(tokens[0]), _unquoted(tokens[2]))


def _accounts(tokens: list[str]) -> list[str]:
    """Return the keys in "`a`@`b`,`c`": without a host it is a role of MariaDB."""
    keys, position = [], 0
    while position < len(tokens):
        user, host = _unquoted(tokens[position]), ""
        position += 1
        if tokens[position : position + 1] == ["@"]:
            host = _unquoted(tokens[position + 1])
            position += 2
        keys.append(account_key(user, host))
        position += 1
    return keys


def _unquoted(token: str) -> str:
    if token[0] in "`'\"":
        text = token[1:-1].replace(token[0] * 2, token[0])
        return re.sub(r"\\(.)", r"\1", text) if token[0] == "'" else text
    return token


def _all_words(server: TestServer, on: str) -> set[str]:
    if on == "global":
        assert server.engine is Engine.MARIADB
        major, minor, patch = server.version
        return words_of_access(2**64 - 1, 0, (major, minor, patch)) - {"GRANT OPTION"}
    if on == "database":
        columns = server.run("SHOW COLUMNS FROM mysql.db LIKE '%\\_priv'")
        return {word_of_column(row[0]) for row in columns} - {"GRANT OPTION"}
    ((_, kind, *_),) = server.run("SHOW COLUMNS FROM mysql.tables_priv LIKE 'Table_priv'")
    return words_of_set(",".join(re.findall(r"'([^']*)'", kind))) - {"GRANT OPTION"}
