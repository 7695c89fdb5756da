"""How names of tables come back from names of tablespaces, and keys of relations.

A tablespace is named after its file: ``schema/table#p#partition#sp#subpartition``, where each
character that no file should have stands as ``@`` and four hexadecimal digits, or as ``@`` and two
characters, one of which is no hexadecimal digit. The server decodes such names; it does not say
where in the decoded name each part ends, as "/" and "#" may belong to a name. But in the encoded
one they are unmistakable, and the parts of both have as many characters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from app.repositories.remote.mysql.names import identifier

_CHARACTER = re.compile(r"@[0-9a-f]{4}|@..|.", re.DOTALL)
_HEXADECIMAL = re.compile(r"@([0-9a-f]{4})")
_SEPARATOR = re.compile("#s?p#", re.IGNORECASE)
_FULLTEXT = re.compile("fts_([0-9a-f]{16})_", re.IGNORECASE)
_QUOTED = re.compile(r"`((?:[^`]|``)*)`\.`((?:[^`]|``)*)`")


class NameParts(NamedTuple):
    """What a tablespace's name says about whose it is."""

    table: str
    leaf: str
    """The partition, or the subpartition; empty if the table is not partitioned."""
    left_over: bool
    """Whether it belongs to no table: an ALTER TABLE makes it, or was killed while it did."""


def characters(encoded: str) -> int:
    """Return of how many characters an encoded name tells."""
    return len(_CHARACTER.findall(encoded))


def split_name(encoded: str, decoded: str | None) -> tuple[str, str, str]:
    """Return (schema, the rest decoded, the rest encoded) of ``schema/rest``.

    Args:
        encoded: as in the file system.
        decoded: as the server decodes it; None if there is nothing to decode.

    """
    directory, _, stem = encoded.rpartition("/")
    if decoded is None or len(decoded) != characters(encoded):
        return _without_server(directory), _without_server(stem), stem
    end = characters(directory)
    return decoded[:end], decoded[end + 1 :], stem


def name_parts(stem: str, name: str) -> NameParts:
    """Return what the rest of a name says.

    Args:
        stem: encoded, without its schema.
        name: the same decoded.

    """
    if stem.startswith("#") or stem.upper().endswith(("#TMP#", "#REN#")):
        return NameParts(name, "", left_over=True)
    pieces, at = [], 0
    for separator in [*_SEPARATOR.finditer(stem), None]:
        end = separator.start() if separator else len(stem)
        begin = characters(stem[:at])
        pieces.append(name[begin : begin + characters(stem[at:end])])
        at = separator.end() if separator else end
    return NameParts(pieces[0], pieces[-1] if len(pieces) > 1 else "", left_over=False)


def fulltext_owner(stem: str) -> int | None:
    """Return the id of the table whose FULLTEXT index a tablespace is a part of."""
    match = _FULLTEXT.match(stem)
    return int(match[1], 16) if match else None


def relation_key(table: str, leaf: str = "") -> str:
    """Return by which key the ledger knows a table, or one of its partitions.

    A table's is its name. No other key looks like it: all others begin with a quote, and so does
    that of a table that has one in its name.
    """
    if leaf:
        return f"{identifier(table)}.{identifier(leaf)}"
    return identifier(table) if "`" in table else table


def relation_name(table: str, leaf: str = "") -> str:
    """Return how a table, or one of its partitions, is shown, which is how statements name it."""
    return f"{table} PARTITION ({leaf})" if leaf else table


def leaf_of_key(key: str, table: str) -> str | None:
    """Return the partition that a key stands for; None if it is none of this table."""
    match = _QUOTED.fullmatch(key)
    if match is None or match[1].replace("``", "`") != table:
        return None
    return match[2].replace("``", "`")


def _without_server(encoded: str) -> str:
    return _HEXADECIMAL.sub(lambda match: chr(int(match[1], 16)), encoded)
