from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.cli.output import write_json
from app.cli.tables import Column, fit, printable

COLUMNS = [
    Column("NAME", key=True),
    Column("ENGINE", least=10),
    Column("HOST", least=12),
    Column("NUMBER", right=True),
    Column("TAGS", optional=True),
]
values = st.one_of(st.text(max_size=90), st.text("订单数据库ab", min_size=30, max_size=70))


@given(st.lists(st.tuples(*[values] * 5), min_size=1, max_size=5), st.integers(60, 200))
def test_a_table_never_leaves_its_width_and_its_keys_are_always_whole(
    rows: list[tuple[str, ...]], width: int
) -> None:
    fitted = fit(COLUMNS, rows, width)
    assert all(cell_len(line.plain) <= width for line in fitted.lines)
    keys_only = fit(COLUMNS[:1], [row[:1] for row in rows], 20)
    shown = "".join(line.plain.strip() for line in keys_only.lines[1:])
    assert shown.replace(" ", "") == "".join(printable(row[0]) for row in rows).replace(" ", "")


@given(st.lists(st.tuples(*[values] * 5), min_size=1, max_size=5))
def test_a_value_is_only_missing_if_the_table_says_that_something_was_cut(
    rows: list[tuple[str, ...]],
) -> None:
    fitted = fit(COLUMNS, rows, 80)
    wide = fit(COLUMNS, rows, 0)
    assert not wide.cut
    assert not wide.hidden
    text = "\n".join(line.plain for line in fitted.lines)
    if not fitted.cut:
        for row in rows:
            for column, value in zip(COLUMNS, row, strict=True):
                if not column.key and column.title not in fitted.hidden:
                    assert printable(value).rstrip() in text


@given(st.text(max_size=30))
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = printable(text)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown


def test_a_short_table_is_left_as_it_is() -> None:
    fitted = fit(COLUMNS, [("a", "mysql", "h", "3", "t")], 80)
    assert [line.plain for line in fitted.lines] == [
        "NAME  ENGINE  HOST  NUMBER  TAGS",
        "a     mysql   h          3  t",
    ]
    assert (fitted.cut, fitted.hidden) == (False, [])


def test_times_in_json_are_in_utc_wherever_they_were_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=8)))
    write_json({"at": there, "same": there.astimezone(UTC)})
    said = capsys.readouterr().out
    assert said.count("2026-01-01T19:04:00Z") == 2
