"""A real store accepts every statement of ours, each table and column that it names."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

from app.repositories.capacity_rollups import PARTS_COLUMNS
from app.utils.sql_files import load_sql

PACKAGE = "app.repositories.sql"
FOLDER = Path(__file__).parents[2] / "app" / "repositories" / "sql"
NAMES = sorted(path.name for path in FOLDER.glob("*.sql"))
INCOMING = """
CREATE TEMPORARY TABLE incoming_facts (
    account_id bigint, database_id integer, digest bytea, facts jsonb
)
"""
"""What the sync writes first; only its statement needs it."""
PARTS = f"CREATE TEMPORARY TABLE day_parts ({PARTS_COLUMNS})"
"""What the aggregation of days that have expired writes first."""


@pytest.mark.parametrize("name", NAMES)
def test_the_store_prepares_the_statement(store_url: str, name: str) -> None:
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${numbers.setdefault(found.group(1), len(numbers) + 1)}"

    statement = re.sub(r"%\((\w+)\)s", number, load_sql(PACKAGE, name)).replace("%%", "%")
    conninfo = store_url.replace("+psycopg", "", 1)
    with psycopg.connect(conninfo) as connection:
        connection.execute(INCOMING)
        connection.execute(PARTS)
        done = connection.pgconn.prepare(b"it", statement.encode())
        assert done.status == ExecStatus.COMMAND_OK, done.get_error_message()
        connection.rollback()


def test_no_statement_is_left_over() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (FOLDER.parents[1]).rglob("*.py"))
    assert [name for name in NAMES if f'"{name}"' not in code] == []
