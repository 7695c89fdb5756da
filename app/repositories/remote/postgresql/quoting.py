"""Names and values as SQL writes them."""

from __future__ import annotations


def identifier(name: str) -> str:
    """Return a name in double quotes, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a string constant that means the same whatever standard_conforming_strings is."""
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted
