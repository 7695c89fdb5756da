from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from app.config import load_settings
from app.utils.periods import day_of
from tests.cli.conftest import Whalefall

GIB = 2**30
LONG = "a_database_whose_name_is_as_long_as_a_name_can_be_in_postgresql"


@pytest.fixture
def grown(whalefall: Whalefall, store_url: str) -> Whalefall:
    """An instance with a database that grows by 1 GiB a day, one of today, and a volume."""
    today = day_of(datetime.now().astimezone(), load_settings().zone)
    with psycopg.connect(store_url.replace("+psycopg", "", 1), autocommit=True) as connection:

        def one(statement: str, *values: Any) -> int:
            row = connection.execute(statement.encode(), values).fetchone()
            assert row is not None
            return int(row[0])

        credential_id = one(
            "INSERT INTO credentials (name, username, secret) VALUES ('c', 'u', 'x') RETURNING id"
        )
        instance_id = one(
            "INSERT INTO instances (name, engine, host, port, credential_id)"
            " VALUES ('orders', 'postgresql', 'h', 5432, %s) RETURNING id",
            credential_id,
        )
        for name, days in ((LONG, 100), ("evil\x1b[2J", 2)):
            database_id = one(
                "INSERT INTO databases (instance_id, engine_key, name) VALUES (%s, %s, %s)"
                " RETURNING id",
                instance_id,
                name,
                name,
            )
            for n in range(days):
                connection.execute(
                    "INSERT INTO capacity_rollups (period, scope, instance_id, object_id, start_on,"
                    " seen, expected, estimated, last_bytes)"
                    " VALUES ('day', 'database', %s, %s, %s, 1, 1, 0, %s)",
                    (instance_id, database_id, today - timedelta(days=n), (200 - n) * GIB),
                )
    return whalefall


def test_a_limit_that_a_person_sets_is_heeded_at_once(grown: Whalefall) -> None:
    said = grown("capacity", "limit", "set", "orders", "--database", LONG, "250GiB")
    assert said.code == 0, said.err
    assert "250.0 GiB (268,435,456,000 bytes)" in said.told
    found = grown("capacity", "forecast", "--by", "database", "--within", "8w", "--json").json
    (row,) = found["forecasts"]
    assert (row["name"], row["status"], row["days_to_limit"]) == (LONG, "fills", 50)
    assert row["limit_bytes"] == 250 * GIB
    assert row["computed_at"].endswith("Z")
    out = grown("capacity", "forecast").out
    assert "50 days" in out
    assert "+1.0 GiB" in out
    assert grown("capacity", "limit", "list", "--json").json["limits"][0]["name"] == LONG
    assert grown("capacity", "limit", "clear", "orders", "--database", LONG).code == 0
    assert "no limit set" in grown("capacity", "forecast", "--by", "database").out


@pytest.mark.parametrize("command", [["forecast"], ["limit", "list"]], ids=" ".join)
def test_answers_fit_80_columns_and_cannot_steer_the_terminal(
    grown: Whalefall, command: list[str]
) -> None:
    for database in (LONG, "evil\x1b[2J"):
        grown("capacity", "limit", "set", "orders", "--database", database, "1TB")
    said = grown("capacity", *command)
    assert said.code == 0, said.err
    assert said.widest <= 80
    assert "\x1b" not in said.out + said.err
    assert LONG in "".join(line.split("  ")[0] for line in said.out.splitlines()) or "limit" in (
        command
    )


def test_where_nothing_can_be_said_the_reason_is_shown(grown: Whalefall) -> None:
    grown("capacity", "limit", "set", "orders", "1TB")
    said = " ".join(grown("capacity", "forecast").out.split())
    assert "cannot say" in said
    assert "its history is of 2 days; 14 are needed" in said


@pytest.mark.parametrize(
    ("size", "expected"),
    [("500GiB", 500 * GIB), ("1.5TB", 1_500_000_000_000), ("4096", 4096), ("2g", 2 * 10**9)],
)
def test_sizes_are_read_in_both_units(grown: Whalefall, size: str, expected: int) -> None:
    assert grown("capacity", "limit", "set", "orders", size, "--later").code == 0
    assert grown("capacity", "limit", "list", "--json").json["limits"][0]["limit_bytes"] == expected


@pytest.mark.parametrize("size", ["0", "-5GiB", "much", "9999999PiB", "12 parsecs"])
def test_what_is_no_size_is_refused(grown: Whalefall, size: str) -> None:
    said = grown("capacity", "limit", "set", "orders", "--", size)
    assert said.code == 2
    assert "is no size" in said.told


def test_errors_say_what_to_do(grown: Whalefall) -> None:
    said = grown("capacity", "limit", "set", "orders", "--database", "nothing", "1TB")
    assert said.code == 1
    assert "orders has no database named nothing" in said.told
    assert "whalefall capacity forecast --instance orders" in said.told
    assert grown("capacity", "forecast", "--within", "soon").code == 2
    assert grown("capacity", "forecast", "--instance", "nobody").code == 1
    said = grown("capacity", "limit", "clear", "orders")
    assert said.code == 1
    assert "no limit is set on orders" in said.told
