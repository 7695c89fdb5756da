"""What commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from app.cli.tables import Cell, Column

STATE_STYLES = {
    "ok": "green",
    "succeeded": "green",
    "full": "green",
    "enabled": "green",
    "running": "cyan",
    "queued": "cyan",
    "warning": "yellow",
    "partial": "yellow",
    "skipped": "yellow",
    "held": "yellow",
    "paused": "yellow",
    "disabled": "yellow",
    "failed": "red",
    "denied": "red",
    "removed": "red",
    "cancelled": "magenta",
}


def columns() -> int:
    """Return how wide the terminal is; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def console(*, error: bool = False, width: int | None = None) -> Console:
    """Return a console that colours only a terminal."""
    from rich.console import Console

    return Console(
        file=sys.stderr if error else sys.stdout,
        width=width or columns(),
        highlight=False,
        markup=False,
        emoji=False,
    )


def say(text: str, *, style: str | None = None) -> None:
    """Write a sentence to standard error, wrapped; it is not part of the result."""
    console(error=True).print(text, style=style)


def write(text: str = "", *, style: str | None = None, indent: int = 0, wide: bool = False) -> None:
    """Write text of the result, wrapped at words, with nothing in it that steers a terminal."""
    from rich.text import Text

    from app.cli.tables import printable

    out = console(width=10_000 if wide else None)
    for line in text.split("\n"):
        shown = Text(printable(line), style=style or "")
        for part in shown.wrap(out, max(out.width - indent, 20), overflow="fold"):
            part.rstrip()
            out.print(Text(" " * indent).append_text(part) if part else "", soft_wrap=True)


def write_json(document: Any) -> None:
    """Write one JSON document; every time in it is in UTC."""
    import orjson

    text = orjson.dumps(
        document, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATETIME
    )
    click.echo(text)


def write_json_line(document: Any) -> None:
    """Write one JSON document on a line of its own, at once, for whoever follows a stream."""
    import orjson

    click.echo(orjson.dumps(document, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME))


def write_table(
    table_columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    *,
    wide: bool,
    empty: str,
) -> None:
    """Write a table that fits the terminal; ``empty`` says what to do when there are no rows."""
    from app.cli.tables import fit

    if not rows:
        say(empty)
        return
    width = columns()
    fitted = fit(table_columns, rows, 0 if wide else width)
    out = console(width=10_000 if wide else width)
    for line in fitted.lines:
        out.print(line, soft_wrap=True)
    told = []
    if fitted.cut:
        told.append("Values that end in … were cut.")
    if fitted.hidden:
        told.append(f"Not shown: {', '.join(fitted.hidden).lower()}.")
    if told:
        say(" ".join([*told, "--wide shows everything."]), style="dim")


def state_cell(state: str | None, text: str | None = None) -> Cell:
    """Return a state in its colour."""
    from app.cli.tables import Cell

    return Cell(text or state or "–", STATE_STYLES.get(state or "", ""))


def count(number: int, word: str) -> str:
    """Return a number with its noun, in the plural unless there is one."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def size_text(size_bytes: int) -> str:
    """Return bytes for people, in the units that grow by 1024."""
    number = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def when(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment for people, to the minute, in the configured zone."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") if moment else "–"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset | tuple):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    return str(value)
