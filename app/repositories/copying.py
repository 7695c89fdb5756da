"""Many rows into the store at once: the text format of COPY, written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from psycopg import Connection

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FLAGS = {None: "\\N", False: "f", True: "t"}


def copy_lines(connection: Connection[Any], statement: str, lines: Iterable[bytes]) -> int:
    """Send the lines of a ``COPY … FROM STDIN`` and return how many rows they were.

    Lines are made while the store takes in those before them: pass a generator.
    """
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in _chunks(lines):
                copy.write(chunk)
        return cursor.rowcount


def text(value: str | None) -> str:
    """Return a text as a field."""
    return "\\N" if value is None else value.translate(_ESCAPES)


def number(value: int | None) -> str:
    """Return a whole number as a field."""
    return "\\N" if value is None else str(value)


def flag(value: bool | None) -> str:
    """Return a boolean as a field."""
    return _FLAGS[value]


def texts(values: Iterable[str]) -> str:
    """Return an array of texts as a field."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return text("{" + ",".join(quoted) + "}")


def document(json: bytes) -> bytes:
    """Return JSON as a field.

    It comes from orjson and so has no raw control characters: only the backslash needs doubling.
    """
    return json.replace(b"\\", b"\\\\")


def digest(value: bytes) -> bytes:
    """Return a bytea as a field."""
    return b"\\\\x" + value.hex().encode()


def _chunks(lines: Iterable[bytes], size: int = 256 * 1024) -> Iterator[bytes]:
    buffer: list[bytes] = []
    length = 0
    for line in lines:
        buffer.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(buffer)
            buffer.clear()
            length = 0
    if buffer:
        yield b"".join(buffer)
