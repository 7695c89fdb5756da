"""How a benchmark is asked for and what it prints: a table of figures in Markdown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from app.config import Settings
from app.utils.structlog_config import configure_logging
from benchmarks.servers import StoreServer, store_server, workplace


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    aim: str = ""


@dataclass(frozen=True)
class Bench:
    """Where to measure, and how thoroughly."""

    place: Path
    store: StoreServer
    quick: bool

    def say(self, text: str) -> None:
        """Tell whoever waits what is being done."""
        print(text, file=sys.stderr, flush=True)


Case = Callable[[Bench], list[Figure]]


def report(module: str, doc: str | None, cases: Mapping[str, Case], footnotes: str) -> None:
    """Measure the cases that the command line asks for, and print them."""
    letters = "".join(cases)
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=doc)
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work at all?")
    parser.add_argument(
        "--only", default=letters, help=f"some of the cases {letters}, for example {letters[:2]}"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    configure_logging(Settings(log_level="ERROR"))
    figures: list[Figure] = []
    with workplace() as place, store_server(place) as store:
        bench = Bench(place, store, options.quick)
        on = machine(store)
        for letter in options.only:
            figures += cases[letter](bench)
    if options.json:
        print(json.dumps({"machine": on, "figures": [asdict(f) for f in figures]}, indent=2))
        return
    print(f"Measured on {on}:\n\n| what | measured | aim |\n|---|---|---|")
    for figure in figures:
        print(f"| {figure.what} | {figure.measured} | {figure.aim} |")
    print(f"\n{footnotes}")


def machine(store: StoreServer) -> str:
    """Say on what was measured."""
    with psycopg.connect(store.server.conninfo) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()},"
        f" psycopg {psycopg.__version__}, PostgreSQL {row[0]}, {platform.system()}"
    )
