"""A store whose time series can be broken in every way, and a look at what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.constants.partitions import POLICIES
from app.repositories import partition_catalog
from app.repositories.partitions import Patience, ahead, ensure_partition
from app.services.partition_management.partition_management_service import (
    PartitionManagementService,
)
from app.utils.embedded_postgres import EmbeddedPostgres
from tests.fixtures.store import TEMPLATE, _database, _of

Ask = Callable[..., list[tuple[Any, ...]]]


NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
"""When the partitions of these stores were made."""
TEMPLATE_OF_NOW = "whalefall_template_of_partitions"


@pytest.fixture(scope="session")
def server_of_now(store_server: EmbeddedPostgres) -> EmbeddedPostgres:
    """The session's server, with a template whose partitions are those of a fixed day."""
    with psycopg.connect(store_server.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE_OF_NOW} TEMPLATE {TEMPLATE}")
    engine = create_engine(_of(store_server.url, TEMPLATE_OF_NOW), poolclass=NullPool)
    with engine.connect() as connection:
        for table in POLICIES:
            with connection.begin():
                for part in partition_catalog.partitions_of(connection, [table])[table]:
                    if part.span is not None:
                        connection.execute(text(f"DROP TABLE {part.name}"))
        for table, moment in ahead(NOW):
            with connection.begin():
                ensure_partition(connection, table, moment)
    return store_server


@pytest.fixture
def store_url(server_of_now: EmbeddedPostgres) -> Iterator[str]:
    """The URL of such a store, this test's own."""
    yield from _database(server_of_now, TEMPLATE_OF_NOW)


@pytest.fixture
def conninfo(store_url: str) -> str:
    return store_url.replace("+psycopg", "", 1)


@pytest.fixture
def ask(conninfo: str) -> Iterator[Ask]:
    """Execute a statement on a connection of its own, at once committed."""
    with psycopg.connect(conninfo, autocommit=True) as connection:

        def execute(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

        yield execute


@pytest.fixture
def service(app: Flask) -> PartitionManagementService:  # noqa: ARG001 - its context
    """Partition management that gives up soon."""
    found = PartitionManagementService()
    found.patience = Patience(first_ms=150, further_ms=100, pauses_seconds=(0.05,))
    return found


def observed(ask: Ask, *moments: str) -> None:
    """Insert a row of scope_observations for each moment."""
    for moment in moments:
        ask(
            "INSERT INTO scope_observations"
            " (observed_at, run_item_id, instance_id, scope, status, duration_ms)"
            " VALUES (%s, 1, 1, 'server', 'full', 1)",
            moment,
        )


def month(ask: Ask, first: str, following: str) -> None:
    """Make the partition of scope_observations of one month."""
    ask(
        f"CREATE TABLE scope_observations_{first.replace('-', '_')} PARTITION OF scope_observations"
        f" FOR VALUES FROM ('{first}-01 00:00+00') TO ('{following}-01 00:00+00')"
    )


def partitions(ask: Ask, table: str) -> list[str]:
    rows = ask(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = to_regclass(%s) ORDER BY 1",
        table,
    )
    return [name for (name,) in rows]


def drop_all(ask: Ask, table: str) -> None:
    for name in partitions(ask, table):
        ask(f"DROP TABLE {name}")


def where(ask: Ask, table: str, column: str) -> list[str]:
    """Return in which partition each row is, in the order of time."""
    return [n for (n,) in ask(f"SELECT tableoid::regclass::text FROM {table} ORDER BY {column}")]


def assert_healthy(
    service: PartitionManagementService, now: datetime, tables: Sequence[str] | None = None
) -> None:
    """Nothing is left to do, and nothing is wrong."""
    plan = service.manage_as_of(now, dry_run=True, tables=tables)
    assert (plan.created, plan.dropped, plan.failed, plan.alarms) == ([], [], [], [])


def tables_of(troubles: list[Any]) -> set[str]:
    return {trouble.table for trouble in troubles}
