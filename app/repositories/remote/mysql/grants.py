"""Rows of the grant tables as facts: the part that MySQL and MariaDB have in common.

A level (global, one database, one table …) has a single GRANT OPTION that covers all that the
account holds there, so its words stand all in ``grantable`` or all in ``privileges``. Who has
nothing but the GRANT OPTION has the word USAGE. The grantor is recorded by the engine but decides
nothing (REVOKE does not ask who granted), so "by" is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.repositories.remote.facts import Facts, FactsByKey
from app.repositories.remote.mysql.names import account_key
from app.repositories.remote.mysql_session import Rows

_WORD_OF_COLUMN = {
    "Show_db_priv": "SHOW DATABASES",
    "Create_tmp_table_priv": "CREATE TEMPORARY TABLES",
    "Repl_slave_priv": "REPLICATION SLAVE",
    "Repl_client_priv": "REPLICATION CLIENT",
    "Grant_priv": "GRANT OPTION",
}
_WORD_IN_SET = {"DELETE VERSIONING ROWS": "DELETE HISTORY", "GRANT": "GRANT OPTION"}


def word_of_column(column: str) -> str:
    """Return the privilege that a column stands for; new columns follow the rule of old ones."""
    return _WORD_OF_COLUMN.get(column, column.removesuffix("_priv").replace("_", " ").upper())


def words_of_flags(words: Sequence[str], flags: str) -> set[str]:
    """Return the words whose flag is "Y"; the flags are in the order of the words."""
    return {word for word, flag in zip(words, flags, strict=True) if flag == "Y"}


def words_of_set(value: str) -> set[str]:
    """Return the words of a SET column such as ``Select,Show view,Grant``."""
    words = (word.upper() for word in value.split(",") if word)
    return {_WORD_IN_SET.get(word, word) for word in words}


def grant(on: str, name: Sequence[str], words: set[str]) -> Facts:
    """Return the fact of one level; GRANT OPTION among the words makes the rest grantable."""
    held = sorted(words - {"GRANT OPTION"})
    if "GRANT OPTION" in words:
        return {"on": on, "name": list(name), "grantable": held or ["USAGE"]}
    return {"on": on, "name": list(name), "privileges": held}


def facts_of(facts: FactsByKey, user: str, host: str) -> Facts:
    """Return the facts of an account, made empty if there are none yet."""
    return facts.setdefault(account_key(user, host), {})


def add_database_grants(facts: FactsByKey, rows: Rows, columns: Iterable[str]) -> None:
    """Add database_grants.sql; the name is the pattern as stored, with wildcards and escapes."""
    words = [word_of_column(column) for column in columns]
    for user, host, pattern, flags in rows:
        held = words_of_flags(words, flags)
        if held:
            _add(facts_of(facts, user, host), grant("database", [pattern], held))


def add_table_grants(facts: FactsByKey, table_rows: Rows, column_rows: Rows) -> None:
    """Add table_grants.sql and column_grants.sql: the option of a table covers its columns too."""
    grantable = set()
    for user, host, database, table, privileges in table_rows:
        words = words_of_set(privileges)
        if "GRANT OPTION" in words:
            grantable.add((user, host, database, table))
        if words:
            _add(facts_of(facts, user, host), grant("table", [database, table], words))
    for user, host, database, table, column, privileges in column_rows:
        words = words_of_set(privileges)
        if (user, host, database, table) in grantable:
            words.add("GRANT OPTION")
        _add(facts_of(facts, user, host), grant("column", [database, table, column], words))


def add_routine_grants(facts: FactsByKey, rows: Rows) -> None:
    """Add routine_grants.sql; what kind of routine is the engine's own word in lower case."""
    for user, host, database, routine, kind, privileges in rows:
        words = words_of_set(privileges)
        if words:
            name = [as_meant(database), as_meant(routine)]
            _add(facts_of(facts, as_meant(user), host), grant(kind.lower(), name, words))


def as_meant(text: str) -> str:
    """Undo what both engines do to non-ASCII names in procs_priv: UTF-8 stored as if latin1.

    The grant is in force nevertheless, until the server reads the table again (FLUSH PRIVILEGES, a
    restart): then it belongs to nobody. A text that cannot come about that way is left as it is.
    """
    try:
        return b"".join(_AS_LATIN1.get(character) or b"\xff" for character in text).decode()
    except UnicodeDecodeError:
        return text


def _latin1_bytes() -> dict[str, bytes]:
    """Return the bytes of the engines' latin1: cp1252, and what that leaves undefined as it is."""
    table = {}
    for code in range(256):
        byte = bytes([code])
        try:
            table[byte.decode("cp1252")] = byte
        except UnicodeDecodeError:
            table[chr(code)] = byte
    return table


_AS_LATIN1 = _latin1_bytes()


def add_proxy_grants(facts: FactsByKey, rows: Rows, empty_host: str = "") -> None:
    """Add proxy_grants.sql; the name is the key of the account that may be acted as.

    An empty host of that account is written as ``empty_host``.
    """
    words_of: dict[tuple[str, str, str], set[str]] = {}
    for user, host, proxied_user, proxied_host, with_grant in rows:
        proxied = account_key(proxied_user, proxied_host or empty_host)
        words = words_of.setdefault((user, host, proxied), {"PROXY"})
        if with_grant == "1":
            words.add("GRANT OPTION")
    for (user, host, proxied), words in words_of.items():
        _add(facts_of(facts, user, host), grant("proxy", [proxied], words))


def sort_facts(facts: FactsByKey) -> None:
    """Bring every list into its one order."""
    for of_account in facts.values():
        for key, order in _ORDER.items():
            if key in of_account:
                of_account[key].sort(key=lambda entry, order=order: [entry[part] for part in order])


_ORDER = {"grants": ("on", "name"), "memberships": ("role",), "revokes": ("on", "name")}


def _add(facts: Facts, entry: Facts) -> None:
    facts.setdefault("grants", []).append(entry)
