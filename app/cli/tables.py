"""Tables that fit the terminal, and say so when they had to cut something."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

_GAP = "  "
_KEY_LEAST = 16
_COMFORTABLE = 24
"""Cells that a value should have before it makes room for an optional column."""
_ELLIPSIS = "…"


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    key: bool = False
    """Never cut: a longer value goes on in the next line."""
    optional: bool = False
    """Left out first where there is no room."""
    right: bool = False
    least: int = 8
    """Cells below which it is not cut."""


@dataclass(frozen=True)
class Cell:
    """A value with a colour."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Fitted:
    """A table as lines of text."""

    lines: list[Text]
    cut: bool
    """Whether a value was cut."""
    hidden: list[str]
    """Titles of the columns that were left out."""


def printable(text: object) -> str:
    """Return the text in one line; what steers a terminal or is not seen becomes an escape."""
    return "".join(map(_printable, str(text)))


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], width: int) -> Fitted:
    """Lay the table out in ``width`` cells (0: as wide as it gets).

    1. If it fits as it is, nothing is cut.
    2. Else optional columns are left out, the last one first, until the others fit comfortably.
    3. Then the widest column is cut, cell by cell, until the line fits; key columns come last, and
       go on in the next line instead of being cut.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    cells = [[Cell(printable(cell.text), cell.style) for cell in row] for row in cells]
    natural = [
        max([cell_len(column.title), *(cell_len(row[i].text) for row in cells)])
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if width:
        while _least(columns, natural, shown) > width:
            optional = [i for i in shown if columns[i].optional]
            if not optional:
                break
            shown.remove(optional[-1])
    widths = _widths(columns, natural, shown, width)
    head = Text(no_wrap=True)
    for n, i in enumerate(shown):
        head.append(_GAP if n else "")
        head.append(_aligned(columns[i], columns[i].title, widths[i], last=n == len(shown) - 1))
    head.stylize("bold")
    head.rstrip()
    lines = [head]
    for row in cells:
        lines.extend(_row(columns, row, shown, widths))
    cut = any(
        natural[i] > widths[i]
        and any(cell_len(row[i].text) > widths[i] for row in cells)
        and not columns[i].key
        for i in shown
    )
    hidden = [column.title for i, column in enumerate(columns) if i not in shown]
    return Fitted(lines, cut, hidden)


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} and character not in " \u200d":  # emoji
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def _least(columns: Sequence[Column], natural: list[int], shown: list[int]) -> int:
    least = sum(
        min(natural[i], _floor(columns[i]) if columns[i].optional else _COMFORTABLE) for i in shown
    )
    return least + len(_GAP) * (len(shown) - 1)


def _floor(column: Column) -> int:
    floor = _KEY_LEAST if column.key else column.least
    return max(floor, cell_len(column.title))


def _widths(
    columns: Sequence[Column], natural: list[int], shown: list[int], width: int
) -> dict[int, int]:
    widths = {i: natural[i] for i in shown}
    if not width:
        return widths
    room = width - len(_GAP) * (len(shown) - 1)
    for keys in (False, True):
        while sum(widths.values()) > room:
            cuttable = [
                i for i in shown if columns[i].key is keys and widths[i] > _floor(columns[i])
            ]
            if not cuttable:
                break
            widths[max(cuttable, key=lambda i: widths[i])] -= 1
    while sum(widths.values()) > room and max(widths.values()) > 1:
        widths[max(widths, key=lambda i: widths[i])] -= 1  # narrower than anybody should ask for
    return widths


def _row(
    columns: Sequence[Column], row: list[Cell], shown: list[int], widths: dict[int, int]
) -> list[Text]:
    pieces: dict[int, list[str]] = {}
    for i in shown:
        text = row[i].text
        if cell_len(text) <= widths[i]:
            pieces[i] = [text]
        elif columns[i].key:
            pieces[i] = chop_cells(text, max(2, widths[i]))
        else:
            pieces[i] = [_cut(text, widths[i])]
    lines = []
    for depth in range(max(map(len, pieces.values()), default=0)):
        line = Text(no_wrap=True)
        for n, i in enumerate(shown):
            piece = pieces[i][depth] if depth < len(pieces[i]) else ""
            line.append(_GAP if n else "")
            text = _aligned(columns[i], piece, widths[i], last=n == len(shown) - 1)
            line.append(text, style=row[i].style)
        line.rstrip()
        lines.append(line)
    return lines


def _cut(text: str, width: int) -> str:
    return set_cell_size(text, width - 1).rstrip() + _ELLIPSIS if width > 1 else _ELLIPSIS


def _aligned(column: Column, text: str, width: int, *, last: bool) -> str:
    if column.right:
        return " " * (width - cell_len(text)) + text
    return text if last else text + " " * (width - cell_len(text))
