"""How big the files may get that no single table owns."""

from __future__ import annotations

import re

_FILE = re.compile(r"[^;]*?:(\d+)([KMGT]?)(:autoextend(?::max:(\d+)([KMGT]?))?)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def is_one_file(path: str | None) -> bool:
    """Return whether a value of ``innodb_data_file_path`` names one file only."""
    return ";" not in (path or "").strip("; ")


def data_file_limit(path: str | None) -> int | None:
    """Return how many bytes files can take together.

    Args:
        path: a value of ``innodb_data_file_path``: ``ibdata1:12M;ibdata2:50M:autoextend:max:500M``.

    Returns:
        None if the last of them may grow without end, or the value says something else.

    """
    total = 0
    for file in (path or "").split(";"):
        match = _FILE.fullmatch(file.strip())
        if match is None or (match[3] and not match[4]):
            return None
        number, unit = (match[4], match[5]) if match[4] else (match[1], match[2])
        total += int(number) * _UNITS[unit.upper()]
    return total
