"""Every server in the tests is real; each kind of it has its fixtures in one module."""

from __future__ import annotations

import signal

pytest_plugins = [
    "tests.fixtures.store",
    "tests.fixtures.postgresql",
    "tests.fixtures.mysql",
    "tests.fixtures.logs",
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs so, and every process of ours would inherit it: what is
    # tested here is Ctrl-C where there is one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
