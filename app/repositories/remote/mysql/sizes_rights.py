"""What our own account may see of tables: the views of the server hide all others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.repositories.remote.facts import Target
from app.repositories.remote.mysql_session import Rows, ourselves

_SHOWS_TABLES = frozenset(
    {
        "ALL PRIVILEGES",
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "CREATE",
        "DROP",
        "REFERENCES",
        "INDEX",
        "ALTER",
        "CREATE VIEW",
        "SHOW VIEW",
        "TRIGGER",
        "DELETE HISTORY",
        "DELETE VERSIONING ROWS",
    }
)
"""Any of them on a database shows every table in it."""
_GRANT = re.compile(
    r"(GRANT|REVOKE) (.+?) ON (\*|`(?:[^`]|``)*`|[\w$]+)\.\* (?:TO|FROM) ", re.DOTALL
)


@dataclass(frozen=True)
class OwnRights:
    """Where we see every table, and whether we see every database."""

    held: frozenset[str]
    """Everywhere."""
    held_in: tuple[tuple[str, frozenset[str]], ...]
    """In databases whose name matches."""
    revoked_in: tuple[tuple[str, frozenset[str]], ...]
    """Exceptions from what is held everywhere."""
    literal: bool
    """Whether "_" and "%" in these names stand for themselves."""

    @property
    def list_databases(self) -> bool:
        """Whether we see the name of every database."""
        return bool(self.held & (_SHOWS_TABLES | {"SHOW DATABASES"}))

    def show_tables_of(self, schema: str) -> bool:
        """Return whether we see every table of a database."""
        held = self.held
        for pattern, privileges in self.revoked_in:
            if _unquoted(pattern) == schema:
                held -= privileges
        for pattern, privileges in self.held_in:
            if self._matches(pattern, schema):
                held |= privileges
        return bool(held & _SHOWS_TABLES)

    def _matches(self, pattern: str, schema: str) -> bool:
        name = _unquoted(pattern)
        if self.literal:
            return name.replace("\\_", "_").replace("\\%", "%") == schema
        pieces = re.findall(r"\\[_%]|.", name, re.DOTALL)
        regex = "".join({"_": ".", "%": ".*"}.get(p, re.escape(p[-1])) for p in pieces)
        return re.fullmatch(regex, schema, re.DOTALL) is not None


def own_rights(grants: Rows, *, literal: bool) -> OwnRights:
    """Return what the answer to SHOW GRANTS, of roles too, means for what we see.

    Args:
        grants: its rows; they are not kept, as one may hold a hash of our password.
        literal: whether "_" and "%" in names of databases stand for themselves.

    """
    held: frozenset[str] = frozenset()
    held_in, revoked_in = [], []
    for (line,) in grants:
        match = _GRANT.match(line)
        if match is None:
            continue
        privileges = frozenset(word.strip() for word in match[2].split(","))
        if match[1] == "REVOKE":
            revoked_in.append((match[3], privileges))
        elif match[3] == "*":
            held |= privileges
        else:
            held_in.append((match[3], privileges))
    return OwnRights(held, tuple(held_in), tuple(revoked_in), literal)


def grant_needed(target: Target, *privileges: str) -> str:
    """Return the statement that gives our account these privileges on everything."""
    return f"GRANT {', '.join(privileges)} ON *.* TO {ourselves(target)};"


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
