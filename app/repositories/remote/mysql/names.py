"""Keys of accounts, and how names are written in SQL of MySQL and MariaDB."""

from __future__ import annotations

import re

_KEY = re.compile(r"'((?:[^']|'')*)'@'((?:[^']|'')*)'")


def account_key(user: str, host: str) -> str:
    """Return ``'user'@'host'``, quotes doubled; a role of MariaDB has an empty host."""
    return f"'{_doubled(user)}'@'{_doubled(host)}'"


def split_key(key: str) -> tuple[str, str]:
    """Return (user, host) of a key."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"not the key of an account: {key}")
    return match[1].replace("''", "'"), match[2].replace("''", "'")


def literal(text: str) -> str:
    """Return a string as SQL writes it while backslash escapes, which is the server's default."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


def account_sql(key: str) -> str:
    """Return an account as statements name it."""
    user, host = split_key(key)
    return f"{literal(user)}@{literal(host)}"


def _doubled(text: str) -> str:
    return text.replace("'", "''")
