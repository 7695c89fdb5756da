"""Every server in the tests is real; each kind of it has its fixtures in one module."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures.store",
    "tests.fixtures.postgresql",
    "tests.fixtures.mysql",
]
