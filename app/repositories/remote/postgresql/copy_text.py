"""The text format of COPY, read back into rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def rows(raw: bytes, encoding: str = "utf-8") -> Iterator[list[str | None]]:
    r"""Yield the rows of what COPY … TO STDOUT sent, fields as text, NULL as None.

    Bytes that are not valid in the encoding (possible in SQL_ASCII databases) come out as ``\xhh``.
    """
    if not raw:
        return
    text = raw.decode(encoding, "backslashreplace") if encoding != "utf-8" else _utf8(raw)
    lines = text.split("\n")
    lines.pop()
    for line in lines:
        fields: list[str | None] = line.split("\t")  # type: ignore[assignment]
        if "\\" in line:
            fields = [_field(field) if "\\" in field else field for field in line.split("\t")]
        yield fields


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _field(field: str) -> str | None:
    if field == "\\N":
        return None
    return _ESCAPE.sub(lambda match: _PLAIN.get(match[1], match[1]), field)
