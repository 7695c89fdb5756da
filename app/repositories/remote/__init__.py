"""Questions to the servers that we look after: one folder an engine, the same names in each.

Each engine's package offers

``connect(target, receipt)``               a context manager: one read-only session on the server
``read_server(session)``                   ServerContent
``read_database(target, database, receipt, version)``  ScopeContent; opens and closes its own
session
``grant_statements(snapshot)``             the engine's own SQL that would make the facts true again
``read_server_sizes(session)``             ServerSizes: databases, tablespaces, volumes
``read_database_sizes(target, database, known, budget, receipt, version, checkpoint)``
DatabaseSizes: every relation of one database

and raises nothing but ReadError. Nothing outside this package knows which engine it talks to.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol, cast

from app.constants.engines import Engine
from app.repositories.remote.facts import (
    AccountFact,
    DatabaseFact,
    FactsByKey,
    Receipt,
    ScopeContent,
    ServerContent,
    Target,
)
from app.repositories.remote.sizes import Budget, Checkpoint, DatabaseSizes, Known, ServerSizes


class EngineReader(Protocol):
    """What each engine's package offers."""

    def connect(self, target: Target, receipt: Receipt) -> AbstractContextManager[Any]:
        """Open one read-only session, with time-outs, TLS as configured and our program name."""

    def read_server(self, session: Any) -> ServerContent:
        """Read who exists, what they hold on the server, and which databases there are."""

    def read_database(
        self, target: Target, database: DatabaseFact, receipt: Receipt, version: str
    ) -> ScopeContent:
        """Read what accounts hold inside one database, in a session of its own."""

    def grant_statements(
        self, accounts: list[AccountFact], server: FactsByKey, databases: dict[str, FactsByKey]
    ) -> dict[str | None, list[str]]:
        """Return the statements that make these facts true on a server that has the same objects.

        The result maps a database's name (None: any database, for the server's own) to statements
        in the order in which to run them; None comes first.
        """

    def read_server_sizes(self, session: Any) -> ServerSizes:
        """Read which databases, tablespaces and volumes there are, and how big they are."""

    def read_database_sizes(
        self,
        target: Target,
        database: DatabaseFact,
        known: Known,
        budget: Budget,
        receipt: Receipt,
        version: str,
        checkpoint: Checkpoint,
    ) -> DatabaseSizes:
        """Read every relation of one database, in a session of its own.

        Within the budget: first those that are large, changed, or have waited longest.
        """


def reader_for(engine: Engine) -> EngineReader:
    """Return the reader of an engine."""
    return cast("EngineReader", import_module(f"app.repositories.remote.{engine.value}"))
