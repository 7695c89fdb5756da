"""A process that logs to the test's own store, and what has arrived there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from app.config import Settings
from app.services.log_centre.shipping import connect, shipping
from app.utils.log_shipping import LogShipper
from app.utils.structlog_config import configure_logging

Logged = Callable[..., list[dict[str, Any]]]
Shipping = Callable[..., AbstractContextManager[LogShipper]]


@pytest.fixture(autouse=True)
def _logging_as_before(logging_as_before: None) -> None:
    """Whatever is logged here leaves nothing behind."""


@pytest.fixture
def shipped(settings: Settings, store_url: str) -> Shipping:
    """Log to the store, or to one at another URL, for the time of a block."""
    settings.data_dir.mkdir(exist_ok=True)

    @contextmanager
    def ship(url: str = store_url, **changes: Any) -> Iterator[LogShipper]:
        effective = settings.model_copy(update={"log_format": "json", **changes})
        configure_logging(effective)
        with shipping(effective) as shipper:
            connect(shipper, effective, url)
            yield shipper

    return ship


@pytest.fixture
def logged(store_url: str) -> Logged:
    """Return what is in the log centre."""

    def rows(where: str = "true") -> list[dict[str, Any]]:
        conninfo = store_url.replace("+psycopg", "", 1)
        with psycopg.connect(conninfo, row_factory=dict_row) as connection:
            return connection.execute(
                f"SELECT *, tableoid::regclass::text AS partition FROM log_entries WHERE {where}"
                " ORDER BY producer_id, sequence"
            ).fetchall()

    return rows
