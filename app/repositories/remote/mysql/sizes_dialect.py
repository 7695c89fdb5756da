"""In what MySQL and MariaDB differ when they are asked for sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from app.repositories.remote.facts import Receipt, Target
from app.repositories.remote.mysql.names import literal
from app.repositories.remote.mysql.sizes_tablespaces import ListedTablespace
from app.repositories.remote.mysql_session import Session
from app.repositories.remote.sizes import SizeOfStorage
from app.utils.sql_files import load_sql

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Dialect:
    """One of the two engines."""

    package: str
    """Where its ``.sql`` files are."""
    connect: Callable[[Target, Receipt], AbstractContextManager[Session]]
    assignments: tuple[str, ...]
    """What a session that asks for sizes sets besides."""
    time_limit: Callable[[float], str]
    """The assignment that ends statements after so many seconds."""
    tablespaces: Callable[[Session, str | None], Iterator[ListedTablespace]]
    """Yield the tablespaces of all databases, or of one."""
    storages: Callable[[Session, Settings, tuple[ListedTablespace, ...]], list[SizeOfStorage]]
    """Return what belongs to no single table."""
    lists_unopened: bool
    """Whether a tablespace is listed before anybody used it."""
    tables_by_id: bool
    """Whether it costs little to ask which table has an id."""
    shared: Callable[[SizeOfStorage], bool]
    """Whether tables of several databases can be in it."""
    dictionary: Mapping[str, str]
    """The tablespace of a database's own tables, by the database's name."""

    def sql(self, name: str, **places: str) -> str:
        """Return a statement, with what belongs where a comment stands for it."""
        text = load_sql(self.package, f"{name}.sql")
        for place, value in places.items():
            text = text.replace(f"/* {place} */", value)
        return text


def prepare(session: Session, dialect: Dialect) -> None:
    """End the snapshot, which would keep the server from purging, and set what sizes need."""
    session.ask("COMMIT")
    session.ask("SET SESSION " + ", ".join(dialect.assignments))


def literals(words: list[str]) -> str:
    """Return strings as the inside of IN (…) writes them."""
    return ", ".join(map(literal, words))
