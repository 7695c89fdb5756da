"""Names of files come back as names of tables, whatever is in them."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.repositories.remote.mysql.sizes_names import (
    characters,
    fulltext_owner,
    leaf_of_key,
    name_parts,
    relation_key,
    split_name,
)
from app.repositories.remote.mysql.sizes_storages import data_file_limit
from app.repositories.remote.mysql.sizes_tablespaces import (
    ListedDatabase,
    ListedTablespace,
    list_tablespaces,
)
from tests.fixtures.mysql import TestServer

_NAMES = st.text(
    st.characters(min_codepoint=1, max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1
)


def _encoded(name: str) -> str:
    plain = string.ascii_letters + string.digits + "_"
    return "".join(c if c in plain else f"@{ord(c):04x}" for c in name)


@given(_NAMES, _NAMES, st.none() | _NAMES, st.none() | _NAMES)
def test_the_parts_of_a_name_are_found_whatever_they_hold(
    schema: str, table: str, partition: str | None, subpartition: str | None
) -> None:
    stem, name = _encoded(table), table
    if partition is not None:
        stem, name = f"{stem}#P#{_encoded(partition)}", f"{name}#P#{partition}"
        if subpartition is not None:
            stem, name = f"{stem}#SP#{_encoded(subpartition)}", f"{name}#SP#{subpartition}"
    found = split_name(f"{_encoded(schema)}/{stem}", f"{schema}/{name}")
    assert found == (schema, name, stem)
    leaf = "" if partition is None else partition if subpartition is None else subpartition
    assert name_parts(stem, name) == (table, leaf, False)


@given(_NAMES, _NAMES, _NAMES)
def test_keys_of_tables_and_partitions_are_never_the_same(a: str, b: str, c: str) -> None:
    assert relation_key(a) != relation_key(b, c)
    assert (relation_key(a) == relation_key(b)) == (a == b)
    assert leaf_of_key(relation_key(a, b), a) == b
    assert leaf_of_key(relation_key(a), a) is None


def test_every_character_that_a_server_encodes_is_counted_as_one(
    mariadb_server: TestServer,
) -> None:
    codes = [c for c in range(1, 0x10000) if not 0xD800 <= c <= 0xDFFF]
    for start in range(0, len(codes), 1000):
        numbers = " UNION ALL ".join(f"SELECT {code} AS c" for code in codes[start : start + 1000])
        rows = mariadb_server.run(
            "SELECT c, CONVERT(CONVERT(CONVERT(CONVERT(CHAR(c USING ucs2) USING utf8mb4)"
            f" USING filename) USING binary) USING latin1) FROM ({numbers}) AS numbers"
        )
        for code, encoded in rows:
            assert characters(encoded) == 1, (hex(code), encoded)


@pytest.mark.parametrize("stem", ["#sql-alter-1b-4", "#sql-ib22", "t#P#p0#TMP#", "t#p#p0#ren#"])
def test_what_an_interrupted_statement_left_over_is_told_from_a_table(stem: str) -> None:
    assert name_parts(stem, stem) == (stem, "", True)


def test_parts_of_fulltext_indexes_name_their_table_by_its_id() -> None:
    assert fulltext_owner("FTS_000000000000001a_0000000000000029_INDEX_1") == 0x1A
    assert fulltext_owner("fts_0000000000000430_being_deleted") == 0x430
    assert fulltext_owner("fts_of_mine") is None


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            _NAMES.filter(lambda n: "\0" not in n),
            st.none() | st.integers(0, 1 << 60),
            st.none() | st.integers(0, 1 << 60),
            st.booleans(),
        )
    )
)
def test_what_is_packed_comes_back(
    rows: list[tuple[str, int | None, int | None, bool]],
) -> None:
    listing = list_tablespaces(
        (ListedTablespace(f"s/{_encoded(n)}", f"s/{n}", f, a, s) for n, f, a, s in rows), ("s",)
    )
    database = ListedDatabase(
        key="s",
        name="s",
        measured_at=datetime.now(UTC),
        packed=listing.packed.get("s", ""),
        fulltext={},
        tables_visible=True,
        shared_bytes=None,
        dictionary_bytes=None,
        lower_case=False,
    )
    found = [(t.name, t.file_bytes, t.allocated_bytes, t.shared) for t in database.tablespaces()]
    assert found == rows


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("ibdata1:12M", 12 << 20),
        ("ibdata1:12M:autoextend", None),
        ("ibdata1:12M:autoextend:max:500M", 500 << 20),
        ("a:1G;/b/c:50M:autoextend:max:2G", 3 << 30),
        ("a:1G;b:50M:autoextend", None),
        ("c:\\data\\ibdata1:1024K", 1 << 20),
        ("ibdata1:4096", 4096),
        ("something else", None),
        (None, None),
    ],
)
def test_how_much_the_system_tablespace_can_take(path: str | None, limit: int | None) -> None:
    assert data_file_limit(path) == limit
