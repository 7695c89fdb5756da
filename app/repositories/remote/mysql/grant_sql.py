"""Facts of one level as GRANT statements: the part that MySQL and MariaDB have in common."""

from __future__ import annotations

from app.repositories.remote.facts import Facts
from app.repositories.remote.mysql.names import account_sql, identifier

_COLUMN_LEVEL = "column"
_SCHEMA_LEVEL = {"database", "table", _COLUMN_LEVEL}


def grants_of(facts: Facts, grantee: str) -> list[str]:
    """Return the GRANT statements of everything but roles.

    Words that name no privilege ("bit 40", of a version newer than this program) cannot be granted.
    """
    statements = []
    for entry in facts.get("grants", ()):
        for part, option in (("privileges", ""), ("grantable", " WITH GRANT OPTION")):
            words = [word for word in entry.get(part, ()) if not word.startswith("bit ")]
            if words:
                statements.append(f"GRANT {_what(entry, words)} TO {grantee}{option}")
    return statements


def object_sql(on: str, name: list[str]) -> str:
    """Return an object as GRANT … ON names it."""
    if on == "global":
        return "*.*"
    if on == "proxy":
        return account_sql(name[0])
    if on == "database":
        return f"{identifier(name[0])}.*"
    path = f"{identifier(name[0])}.{identifier(name[1])}"
    return path if on in _SCHEMA_LEVEL else f"{on.upper()} {path}"


def _what(entry: Facts, words: list[str]) -> str:
    where = object_sql(entry["on"], entry["name"])
    if entry["on"] == _COLUMN_LEVEL:
        column = identifier(entry["name"][2])
        return ", ".join(f"{word} ({column})" for word in words) + f" ON {where}"
    return f"{', '.join(words)} ON {where}"
