"""Our own store: where it is, and which version of the tables it has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.config import Settings
from app.repositories import partitions, store_versions
from app.utils.postgres_binaries import embedded_postgres
from app.utils.postgres_server import EmbeddedPostgresError
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()

OLDEST_SERVER = 15
MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"


class StoreError(Exception):
    """The store cannot be used; the message says what to do."""


@contextmanager
def open_store(settings: Settings, *, durable: bool = True) -> Iterator[str]:
    """Make the store available for a while; the value is its URL for SQLAlchemy.

    Without WHALEFALL_DATABASE_URL this starts the embedded server, or joins those who use it.

    Raises:
        StoreError: it is not reachable, too old, or cannot be started.

    """
    if settings.database_url:
        _check_server(settings.database_url)
        yield settings.database_url
        return
    _prepare_data_dir(settings.data_dir)
    try:
        server = embedded_postgres(settings.store_dir, durable=durable)
        server.start()
    except (EmbeddedPostgresError, OSError) as failure:
        raise StoreError(f"The embedded store does not start. {failure}") from failure
    try:
        yield server.url
    finally:
        server.stop()


def upgrade(url: str) -> list[str]:
    """Bring the store's tables to this version; a store that is up to date is left alone.

    Processes that do so at the same time wait for each other. Every step is a transaction: an
    interrupted upgrade goes on where it was.

    Returns:
        One line for each step that was taken.

    Raises:
        StoreError: the store was written by a newer version.

    """
    engine = _engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
            store_versions.lock_migrations(guard)
            try:
                with engine.begin() as connection:
                    steps = _upgrade_tables(connection)
                steps += _upgrade_queue(engine)
                _make_partitions(engine)
            finally:
                store_versions.unlock_migrations(guard)
    finally:
        engine.dispose()
    for step in steps:
        logger.info("The store was upgraded", step=step)
    return steps


def _make_partitions(engine: Engine) -> None:
    """Make the partitions that are missing, each in a transaction of its own."""
    with engine.connect() as connection:
        with connection.begin():
            moment = store_versions.now(connection)
        for table, wanted in partitions.ahead(moment):
            with connection.begin():
                partitions.ensure_partition(connection, table, wanted)


def require_current(url: str) -> None:
    """Raise StoreError unless the store's tables are those of this version."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            has = store_versions.revision(connection)
            _refuse_newer(has)
            queue = store_versions.queue_migration(connection)
            _refuse_newer_queue(queue)
    finally:
        engine.dispose()
    if has != _scripts().get_current_head() or queue != _queue_migrations()[-1].name:
        raise StoreError(
            "The store's tables are not those of this version: run `whalefall db upgrade`."
        )


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection if its environment is to run."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    connect_args = {"application_name": "whalefall", "connect_timeout": 10}
    return create_engine(url, poolclass=NullPool, connect_args=connect_args)


def _check_server(url: str) -> None:
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            major, version = store_versions.server_version(connection)
    except OperationalError as failure:
        raise StoreError(
            f"The store that WHALEFALL_DATABASE_URL names cannot be reached: {failure.orig}"
        ) from None  # the chain would show the URL
    finally:
        engine.dispose()
    if major < OLDEST_SERVER:
        raise StoreError(
            f"The store runs PostgreSQL {version}: WhaleFall needs {OLDEST_SERVER} or newer. "
            "Upgrade it, or set WHALEFALL_DATABASE_URL to another server."
        )


def _prepare_data_dir(data_dir: Path) -> None:
    """Make the data directory; as root others may enter, but not list it: PostgreSQL's account."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(data_dir.stat().st_mode)
        ours = not any(data_dir.iterdir()) or (data_dir / "postgresql").exists()
        if root and ours and not mode & stat.S_IXOTH:
            data_dir.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as failure:
        raise StoreError(
            f"{data_dir} cannot be used ({failure.strerror}): choose another WHALEFALL_DATA_DIR."
        ) from failure


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


def _upgrade_tables(connection: Connection) -> list[str]:
    has = store_versions.revision(connection)
    _refuse_newer(has)
    head = _scripts().get_current_head()
    if has == head:
        return []
    command.upgrade(alembic_config(connection), "head")
    return [f"tables from {has or 'nothing'} to {head}"]


def _refuse_newer(has: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if has is not None and has not in known:
        raise StoreError(
            f"The store was written by a newer WhaleFall (revision {has}): install that version."
        )


def _queue_migrations() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def _refuse_newer_queue(has: str | None) -> None:
    names = [migration.name for migration in _queue_migrations()]
    if has is not None and has not in names and has > names[-1]:
        raise StoreError(
            f"The store's queue was written by a newer procrastinate ({has}): install that one."
        )


def _upgrade_queue(engine: Engine) -> list[str]:
    """Install the queue's tables, or apply the packaged migrations that the store lacks."""
    migrations = _queue_migrations()
    with engine.begin() as connection:
        if not store_versions.has_queue(connection):
            store_versions.execute_script(connection, SchemaManager.get_schema())
            store_versions.record_queue_migration(connection, migrations[-1].name)
            return ["queue installed"]
        has = store_versions.queue_migration(connection)
    if has is None:
        raise StoreError(
            "The store has a queue of unknown version, which WhaleFall did not install: "
            "give WhaleFall a database of its own."
        )
    _refuse_newer_queue(has)
    steps = []
    for migration in migrations:
        if migration.name > has:
            with engine.begin() as connection:
                store_versions.execute_script(connection, migration.read_text(encoding="utf-8"))
                store_versions.record_queue_migration(connection, migration.name)
            steps.append(f"queue {migration.stem}")
    return steps
