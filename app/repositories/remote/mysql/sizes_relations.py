"""What files and descriptions together say about the tables of one database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.mysql.names import identifier
from app.repositories.remote.mysql.sizes_names import (
    fulltext_owner,
    leaf_of_key,
    relation_key,
    relation_name,
)
from app.repositories.remote.mysql.sizes_tables import Described, PartitionRow, TableRow
from app.repositories.remote.mysql.sizes_tablespaces import ListedDatabase, Tablespace
from app.repositories.remote.sizes import Known, SizeOfRelation

Place = tuple[str, str]
"""A table and its partition in lower case, as files have it; empty if it is not partitioned."""

_WITHOUT_FILES = frozenset(
    {
        "BLACKHOLE",
        "FEDERATED",
        "MEMORY",
        "MRG_MYISAM",
        "PERFORMANCE_SCHEMA",
        "SPIDER",
    }
)
_SMALLEST_FILE = 65536
"""A tablespace that nobody has written to yet."""
_LENGTHS_ARE_FILES = frozenset({"MYISAM", "ARIA", "ARCHIVE"})


@dataclass
class Files:
    """The tablespaces of one database by what they belong to."""

    lower_case: bool
    """Whether they have lower-case names whatever the tables' names are."""
    own: dict[Place, Tablespace] = field(default_factory=dict)
    """Those of FULLTEXT indexes are counted with the table's own."""
    left_over: list[Tablespace] = field(default_factory=list)
    taken: set[Place] = field(default_factory=set)
    by_table: dict[str, list[Place]] = field(default_factory=dict)

    def leaves(self, table: str) -> list[str]:
        """Return the partitions of a table that have files."""
        return [leaf for _, leaf in self.by_table.get(self._folded(table), ()) if leaf]

    def take(self, table: str, leaf: str = "") -> Tablespace | None:
        """Return the file of a table or a partition, and note that it is accounted for."""
        place = (self._folded(table), leaf.lower())
        if place in self.own:
            self.taken.add(place)
        return self.own.get(place)

    def _folded(self, table: str) -> str:
        return table.lower() if self.lower_case else table

    @property
    def untaken(self) -> list[Place]:
        """Those that nobody asked for."""
        return [place for place in self.own if place not in self.taken]


def files_of(
    spaces: Sequence[Tablespace], fulltext: Mapping[int, str], *, lower_case: bool
) -> Files:
    """Return whose each tablespace is.

    Args:
        spaces: of one database.
        fulltext: the encoded name of each table with FULLTEXT indexes, by its id.
        lower_case: whether files have lower-case names whatever the tables' names are.

    """
    files = Files(lower_case)
    places: dict[str, Place] = {}
    parts_of_indexes = []
    for one in spaces:
        if fulltext_owner(one.stem) in fulltext:
            parts_of_indexes.append(one)
            continue
        parts = one.parts
        if parts.left_over or fulltext_owner(one.stem) is not None:
            files.left_over.append(one)
            continue
        place = (parts.table, parts.leaf.lower())
        places[one.stem] = place
        files.own[place] = one
        files.by_table.setdefault(parts.table, []).append(place)
    for one in parts_of_indexes:
        place_of_table = places.get(fulltext[fulltext_owner(one.stem) or 0])
        if place_of_table is None:
            files.left_over.append(one)
        else:
            files.own[place_of_table] = _together(files.own[place_of_table], one)
    return files


@dataclass
class Relations:
    """Builds the relations of one database, and how wrong they may be together."""

    database: ListedDatabase
    described: Described
    files: Files
    known: Known
    every_file_listed: bool
    """Whether a table of InnoDB that has no file in the list is in a shared one."""
    found: list[SizeOfRelation] = field(default_factory=list)
    in_shared: int = 0
    """Bytes, by estimate, of tables in tablespaces that they share."""
    unbounded: bool = False
    """Whether there are estimates of which nobody can say how wrong they are."""

    def add(self, name: str, *, surely_a_table: bool) -> bool:
        """Add a table that is listed; False if it was not described and may as well be a view."""
        row = self.described.tables.get(name)
        leaves = self._leaves(name, row)
        if leaves:
            self._add_partitioned(name, row, leaves)
        elif row is not None:
            kind = RelationKind.SEQUENCE if row.sequence else RelationKind.TABLE
            self._add_described(_blank(name, kind=kind), row, self.files.take(name))
        else:
            return self._add_unread(name, surely_a_table)
        return True

    def add_hidden(self, *, kind: RelationKind) -> None:
        """Add what only its file tells of."""
        for table in dict.fromkeys(table for table, _ in self.files.untaken):
            leaves = self.files.leaves(table)
            if leaves and kind is RelationKind.TABLE:
                self._add_partitioned(table, None, [(leaf, None) for leaf in leaves])
                continue
            for leaf in leaves or [""]:
                space = self.files.take(table, leaf)
                blank = _blank(table, leaf, kind=kind)
                if space is not None and space.file_bytes is not None:
                    self._append(self._of_file(blank, space))
                elif kind is RelationKind.TABLE:
                    why = ReadError(FailureKind.DENIED, f"{table}: we may not see it")
                    self._append(replace(blank, unsized=why))

    def add_left_over(self) -> None:
        """Add files that belong to no table."""
        for one in self.files.left_over:
            self._append(self._of_file(_blank(one.name, kind=RelationKind.UNATTRIBUTED), one))

    def add_dictionary(self) -> None:
        """Add what the tables' own tablespace holds besides the tables that we see."""
        whole = self.database.dictionary_bytes
        if whole is None:
            return
        rest = _blank("data dictionary", kind=RelationKind.SYSTEM)
        self.found.append(replace(rest, total_bytes=max(0, whole - self.in_shared)))
        # whatever each of them holds, together they hold the file
        self.in_shared = max(0, self.in_shared - whole)

    @property
    def error_bytes(self) -> int | None:
        """By how much the sizes may be wrong together."""
        if self.unbounded:
            return None
        if not self.in_shared:
            return 0
        if self.database.dictionary_bytes is not None:
            return self.in_shared
        if self.database.shared_bytes is None:
            return None
        return max(self.in_shared, self.database.shared_bytes - self.in_shared)

    def _leaves(self, name: str, row: TableRow | None) -> list[tuple[str, PartitionRow | None]]:
        """Return the partitions of a table: as described, or as files or the ledger know them."""
        described = self.described.partitions.get(name)
        if described:
            return [(one.leaf, one) for one in described]
        if row is not None and not row.partitioned and row.problem is None:
            return []
        in_files = self.files.leaves(name)
        if in_files:
            return [(leaf, None) for leaf in in_files]
        return [(leaf, None) for key in self.known if (leaf := leaf_of_key(key, name))]

    def _add_partitioned(
        self, name: str, row: TableRow | None, leaves: Sequence[tuple[str, PartitionRow | None]]
    ) -> None:
        parent = replace(
            _blank(name, kind=RelationKind.PARTITIONED),
            total_bytes=0,
            row_estimate=row.rows if row else None,
            exact_at=self.database.measured_at,
        )
        self.found.append(parent)
        for leaf, part in leaves:
            space = self.files.take(name, leaf)
            blank = replace(
                _blank(name, leaf, kind=RelationKind.PARTITION),
                key=self._key_of_leaf(name, leaf),
                parent_key=parent.key,
            )
            if part is not None and part.data_bytes is not None:
                self._add_described(blank, _as_table(part, row), space)
            elif space is not None and space.file_bytes is not None:
                self._append(self._of_file(blank, space))
            elif row is not None and row.problem is not None:
                self._append(replace(blank, unsized=row.problem))
            else:
                self._append(self._carried(blank, name))

    def _key_of_leaf(self, table: str, leaf: str) -> str:
        """Return the key, with the name as it was created if the ledger knows it.

        Files have it in lower case.
        """
        key = relation_key(table, leaf)
        if key in self.known:
            return key
        return next(
            (one for one in self.known if (leaf_of_key(one, table) or "").lower() == leaf), key
        )

    def _add_described(
        self, blank: SizeOfRelation, row: TableRow, space: Tablespace | None
    ) -> None:
        engine = (row.engine or "").upper()
        data, index, free = row.data_bytes, row.index_bytes, row.free_bytes
        now = self.database.measured_at
        split = replace(
            blank, data_bytes=data, index_bytes=index, free_bytes=free, row_estimate=row.rows
        )
        if row.problem is None and engine in _WITHOUT_FILES:
            self._append(_nothing(blank, row.rows, now))
        elif row.problem is None and engine == "CSV":
            why = self.described.unread.get(row.name)
            self._append(replace(blank, unsized=why) if why else _nothing(blank, row.rows, now))
        elif space is not None and space.file_bytes is not None:
            of_file = self._of_file(blank if row.problem else split, space)
            self._append(of_file)
        elif row.problem is not None or data is None or index is None:
            why = row.problem or ReadError(
                FailureKind.UNSUPPORTED, f"{row.name}: the engine {row.engine} tells no size"
            )
            self._append(replace(blank, unsized=why))
        elif engine in _LENGTHS_ARE_FILES:
            self._append(replace(split, total_bytes=data + index, exact_at=now))
        elif engine == "INNODB" and self._is_shared(space):
            # what is free in the tablespace is not this table's
            self.in_shared += data + index
            self.found.append(replace(split, total_bytes=data + index, free_bytes=None))
        elif engine == "INNODB" and self.database.name != "mysql":
            self._append(replace(split, total_bytes=data + index + (free or 0)))
        else:
            self._append(replace(split, total_bytes=data + index))

    def _is_shared(self, space: Tablespace | None) -> bool:
        if space is not None:
            return space.shared
        return self.every_file_listed and self.database.packed is not None

    def _add_unread(self, name: str, surely_a_table: bool) -> bool:
        space = self.files.take(name)
        blank = _blank(name)
        if space is not None and space.file_bytes is not None:
            self._append(self._of_file(blank, space))
        elif surely_a_table or blank.key in self.known or space is not None:
            self._append(self._carried(blank, name))
        else:
            return False
        return True

    def _of_file(self, blank: SizeOfRelation, space: Tablespace) -> SizeOfRelation:
        """Return the size of a file, split up as it was when the engine last told, if need be."""
        known = self.known.get(blank.key)
        if blank.data_bytes is None and known is not None:
            blank = replace(
                blank,
                data_bytes=known.data_bytes,
                index_bytes=known.index_bytes,
                free_bytes=known.free_bytes,
            )
        if space.unopened and space.file_bytes is not None:
            total = space.file_bytes + space.unopened * _SMALLEST_FILE
            return replace(blank, total_bytes=total)
        return replace(
            blank,
            total_bytes=space.file_bytes,
            allocated_bytes=space.allocated_bytes,
            exact_at=self.database.measured_at,
        )

    def _carried(self, blank: SizeOfRelation, name: str) -> SizeOfRelation:
        """Return the last known size as an estimate, or why there is none."""
        known = self.known.get(blank.key)
        if known is None:
            why = self.described.unread.get(name) or ReadError(
                FailureKind.QUERY, "the server does not describe it"
            )
            return replace(blank, unsized=ReadError(why.kind, f"{name}: {why.message}", why.remedy))
        return replace(
            blank,
            total_bytes=known.total_bytes,
            data_bytes=known.data_bytes,
            index_bytes=known.index_bytes,
            free_bytes=known.free_bytes,
            allocated_bytes=known.allocated_bytes,
        )

    def _append(self, relation: SizeOfRelation) -> None:
        if relation.total_bytes is not None and relation.exact_at is None:
            self.unbounded = True
        self.found.append(relation)


def _blank(
    table: str, leaf: str = "", *, kind: RelationKind = RelationKind.TABLE
) -> SizeOfRelation:
    named = kind not in (RelationKind.SYSTEM, RelationKind.UNATTRIBUTED)
    key = relation_key(table, leaf) if named or leaf else identifier(table)
    return SizeOfRelation(key, None, relation_name(table, leaf), kind)


def _together(table: Tablespace, part: Tablespace) -> Tablespace:
    """Return the file of a table with that of a part of its FULLTEXT indexes."""
    if part.file_bytes is None:
        return table._replace(unopened=table.unopened + 1)
    return table._replace(
        file_bytes=_sum(table.file_bytes, part.file_bytes),
        allocated_bytes=_sum(table.allocated_bytes, part.allocated_bytes),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _nothing(blank: SizeOfRelation, rows: int | None, now: datetime) -> SizeOfRelation:
    """Return what has no file, or an empty one."""
    return replace(
        blank,
        total_bytes=0,
        data_bytes=0,
        index_bytes=0,
        free_bytes=0,
        allocated_bytes=0,
        row_estimate=rows,
        exact_at=now,
    )


def _as_table(part: PartitionRow, row: TableRow | None) -> TableRow:
    return TableRow(
        name=part.table,
        engine=row.engine if row else None,
        partitioned=False,
        sequence=False,
        rows=part.rows,
        data_bytes=part.data_bytes,
        index_bytes=part.index_bytes,
        free_bytes=part.free_bytes,
        problem=None,
    )
