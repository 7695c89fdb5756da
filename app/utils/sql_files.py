"""SQL that lives in files of its own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_sql(package: str, name: str) -> str:
    """Return the statement in a package's file: ``load_sql("app.repositories.sql", "x.sql")``."""
    return (files(package) / name).read_text(encoding="utf-8")
