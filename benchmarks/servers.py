"""The real servers that a benchmark runs on: made below one temporary directory, always stopped."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from app.constants.engines import Engine, TlsMode
from app.repositories.remote.facts import Target
from app.services.store import store_service
from app.utils.embedded_postgres import PORT, EmbeddedPostgres
from app.utils.postgres_binaries import embedded_postgres
from app.utils.postgres_server import write_file

MONITOR = "monitor"
PASSWORD = "correct horse battery staple"
_TEMPLATE = "benchmark_template"


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a directory that PostgreSQL's account can enter, and remove it in the end."""
    directory = Path(tempfile.mkdtemp(prefix="wfbench"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class StoreServer:
    """A durable server that keeps stores, each in a database of its own."""

    server: EmbeddedPostgres
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Make an empty store that is up to date; yields its URL."""
        name = f"store_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        try:
            yield self.server.url.replace("@/whalefall?", f"@/{name}?", 1)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Do something outside any store."""
        with psycopg.connect(self.server.conninfo, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def store_server(place: Path) -> Iterator[StoreServer]:
    """Start a server as ``whalefall up`` does: durable."""
    server = embedded_postgres(place / "store")
    with server.running() as url:
        found = StoreServer(server)
        found.run(f"CREATE DATABASE {_TEMPLATE}")
        store_service.upgrade(url.replace("@/whalefall?", f"@/{_TEMPLATE}?", 1))
        yield found


@contextmanager
def target_server(place: Path, name: str) -> Iterator[EmbeddedPostgres]:
    """Start a server to look after, with a monitoring account that owns nothing."""
    server = embedded_postgres(place / name, durable=False)
    with server.running():
        hba = server.data_dir / "pg_hba.conf"
        write_file(hba, f"local all {MONITOR} scram-sha-256\n{hba.read_text()}")
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE ROLE {MONITOR} LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(f"GRANT pg_read_all_stats TO {MONITOR}")  # sizes need it
        yield server


def target_of(server: EmbeddedPostgres) -> Target:
    """Return how the monitoring account reaches a server."""
    return Target(
        engine=Engine.POSTGRESQL,
        host=str(server.socket_directory),
        port=PORT,
        username=MONITOR,
        password=PASSWORD,
        tls_mode=TlsMode.DISABLE,
    )
