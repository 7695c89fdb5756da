from __future__ import annotations

from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.repositories import copying

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(st.tuples(st.none() | TEXT, st.lists(TEXT), st.none() | st.booleans()))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_text_array_and_flag_arrives_as_it_was(empty_store_url: str, rows: list[Any]) -> None:
    lines = (
        f"{number}\t{copying.text(text)}\t{copying.texts(texts)}\t{copying.flag(flag)}\n".encode()
        for number, (text, texts, flag) in enumerate(rows)
    )
    with psycopg.connect(empty_store_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TEMPORARY TABLE t (n integer, a text, b text[], c boolean)")
        assert copying.copy_lines(connection, "COPY t FROM STDIN", lines) == len(rows)
        assert connection.execute("SELECT a, b, c FROM t ORDER BY n").fetchall() == rows
