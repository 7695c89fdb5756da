"""The files of InnoDB, told in one go for the whole server and kept, small, per database.

The engine can tell all tablespaces at once or none: a list for each of 700 databases would cost as
much as the whole list each time. So the server scope asks once, and each database that it lists
carries its own part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.repositories.remote.facts import DatabaseFact
from app.repositories.remote.mysql.sizes_names import (
    NameParts,
    fulltext_owner,
    name_parts,
    split_name,
)


class ListedTablespace(NamedTuple):
    """A tablespace as the server lists it."""

    encoded: str
    """``schema/rest`` as in the file system; without a "/" it belongs to no single table."""
    decoded: str | None
    """None if nothing in it is encoded."""
    file_bytes: int | None
    """None if the table has no file of its own, or the engine has not opened it yet."""
    allocated_bytes: int | None
    shared: bool = False
    """Whether it is a table that is known to be in a tablespace that others share."""


class Tablespace(NamedTuple):
    """The file of one table, one partition, or a part of a FULLTEXT index."""

    stem: str
    """Its name as in the file system, without its schema."""
    name: str
    """The same decoded."""
    file_bytes: int | None
    allocated_bytes: int | None
    shared: bool
    unopened: int = 0
    """Parts of its FULLTEXT indexes that are not counted, as the engine has not opened them."""

    @property
    def parts(self) -> NameParts:
        """Whose it is."""
        return name_parts(self.stem, self.name)


@dataclass(frozen=True)
class Listing:
    """Every tablespace of a server."""

    packed: Mapping[str, str]
    """Those of each database, by its name."""
    others: tuple[ListedTablespace, ...]
    """Those that belong to no single table."""
    fulltext_ids: Mapping[str, frozenset[int]]
    """Of the tables with FULLTEXT indexes in each database that has any."""


@dataclass(frozen=True)
class ListedDatabase(DatabaseFact):
    """One database and what the server scope knows of its tables."""

    measured_at: datetime = field(kw_only=True)
    packed: str | None = field(kw_only=True, repr=False, compare=False)
    """Its tablespaces: a million of them are some 100 MB. None if they could not be listed."""
    fulltext: Mapping[int, str] = field(kw_only=True, repr=False, compare=False)
    """The encoded name of each table with FULLTEXT indexes, by its id."""
    tables_visible: bool = field(kw_only=True)
    """Whether no table of it is hidden from us."""
    shared_bytes: int | None = field(kw_only=True)
    """How much the tablespaces that tables can share hold together."""
    dictionary_bytes: int | None = field(kw_only=True)
    """The tablespace that all tables of this database share, and no others; None if there is
    none."""
    lower_case: bool = field(kw_only=True)
    """Whether files have lower-case names whatever the tables' names are."""

    def tablespaces(self) -> list[Tablespace]:
        """Return the files of its tables."""
        fields = iter(self.packed.split("\0") if self.packed else ())
        return [
            Tablespace(
                stem,
                name or stem,
                int(file_bytes) if file_bytes else None,
                int(allocated) if allocated else None,
                bool(shared),
            )
            for stem, name, file_bytes, allocated, shared in zip(*[fields] * 5, strict=True)
        ]


def list_tablespaces(rows: Iterable[ListedTablespace], schemas: Collection[str]) -> Listing:
    """Return tablespaces by database, without holding more of a million than has to be.

    Args:
        rows: as the server tells them.
        schemas: the names of the databases that the server lists.

    """
    packed: dict[str, list[str]] = {}
    others = []
    fulltext_ids: dict[str, set[int]] = {}
    for one in rows:
        if "/" not in one.encoded:
            others.append(one)
            continue
        schema, name, stem = split_name(one.encoded, one.decoded)
        if schema not in schemas:
            # a folder whose name is no encoded one is a database with this prefix
            old = f"#mysql50#{one.encoded.partition('/')[0]}"
            schema = old if old in schemas else schema
        owner = fulltext_owner(stem)
        if owner is not None:
            fulltext_ids.setdefault(schema, set()).add(owner)
        fields = (
            stem,
            "" if name == stem else name,
            "" if one.file_bytes is None else str(one.file_bytes),
            "" if one.allocated_bytes is None else str(one.allocated_bytes),
            "1" if one.shared else "",
        )
        packed.setdefault(schema, []).append("\0".join(fields))
    return Listing(
        {schema: "\0".join(fields) for schema, fields in packed.items()},
        tuple(others),
        {schema: frozenset(ids) for schema, ids in fulltext_ids.items()},
    )
