"""The statements of this folder's ``.sql`` files, as a version of the server understands them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
_ONLY = re.compile(r"--\s*(?P<major>\d+)\+\s*$")


@cache
def query(name: str, major: int) -> str:
    """Return the statement of ``<name>.sql`` without the lines that need a later version.

    A line that ends in the comment ``-- 16+`` is for version 16 and later.
    """
    lines = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if _wanted(line, major))


def _wanted(line: str, major: int) -> bool:
    only = _ONLY.search(line)
    return only is None or major >= int(only["major"])
