"""How everything grows, by day, week, month and quarter; what is not known is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import Connection

from app.config import current_settings
from app.constants.capacity import Period, Scope
from app.models import Instance, db
from app.repositories import capacity_growth
from app.services.capacity.capacity_service import instance_named
from app.utils.periods import day_of, next_start, previous_start, start_of
from app.utils.refusal import NotFound, Refused


@dataclass(frozen=True)
class PeriodGrowth:
    """One object over one period."""

    start_on: date
    last_day: date
    sealed: bool
    """False: it can change still."""
    seen: int
    """Samples with a size."""
    expected: int
    """Collections that were begun while the object was there."""
    estimated: int
    min_bytes: int | None
    max_bytes: int | None
    average_bytes: int | None
    """Of the samples that were seen, rounded."""
    first_bytes: int | None
    last_bytes: int | None
    last_at: datetime | None
    previous_bytes: int | None
    """The last size of the period before; None if it is not known."""
    growth_bytes: int | None
    """``last_bytes`` less ``previous_bytes``; None if either is not known."""
    growth_percent: float | None
    """Of ``previous_bytes``; None as well if that is 0."""


@dataclass(frozen=True)
class GrowthRow:
    """One object in the list of what grew most."""

    instance: str
    database: str | None
    schema: str | None
    name: str
    kind: str | None
    """Of a relation."""
    growth: PeriodGrowth


@dataclass(frozen=True)
class GrowthList:
    """What grew most in one period."""

    scope: str
    period: str
    start_on: date | None
    """None: nothing has been computed yet."""
    last_day: date | None
    rows: list[GrowthRow]
    more: bool
    """Whether there are more objects than were asked for."""


@dataclass(frozen=True)
class GrowthHistory:
    """One object over its last periods, the newest first."""

    scope: str
    period: str
    instance: str
    database: str | None
    name: str
    periods: list[PeriodGrowth]


class GrowthService:
    """Answers from the ledger, as of the last aggregation; never asks a server."""

    def grown_most(
        self,
        scope: Scope,
        period: Period,
        *,
        at: date | None = None,
        instance: str | None = None,
        database: str | None = None,
        limit: int | None = 50,
    ) -> GrowthList:
        """Return what grew most in one period; whose growth is not known comes last.

        Args:
            scope: What to list.
            period: Over which kind of period.
            at: A day in the period; None: the latest that has been computed.
            instance: Only of this one.
            database: Only relations of this one; the instance has to be named.
            limit: How many at most; None: all.

        Raises:
            NotFound: There is no such instance or database.

        """
        connection = _connection()
        found = instance_named(instance) if instance is not None else None
        database_id = (
            _database(connection, found, database)
            if found is not None and database is not None
            else None
        )
        start = _start(connection, period, at)
        if start is None:
            return GrowthList(scope, period, None, None, [], more=False)
        rows = capacity_growth.grown_most(
            connection,
            scope=scope,
            period=period,
            start_on=start,
            previous=previous_start(period, start),
            instance_id=found.id if found else None,
            database_id=database_id,
            limit=None if limit is None else limit + 1,
        )
        sealed = start in capacity_growth.sealed_starts(connection, period, [start])
        shown = rows[:limit]
        return GrowthList(
            scope,
            period,
            start,
            _last_day(period, start),
            [
                GrowthRow(
                    row.instance,
                    row.database,
                    row.schema,
                    row.name,
                    row.kind,
                    _growth(period, start, row, row.previous_bytes, sealed=sealed),
                )
                for row in shown
            ],
            more=len(rows) > len(shown),
        )

    def history(
        self,
        period: Period,
        *,
        instance: str,
        database: str | None = None,
        relation: str | None = None,
        storage: str | None = None,
        at: date | None = None,
        limit: int | None = 30,
    ) -> GrowthHistory:
        """Return how one object grew over its last periods, the newest first.

        Args:
            period: Over which kind of period.
            instance: The instance itself, unless one of the following is named.
            database: One of its databases.
            relation: One relation of the database, with its schema or without.
            storage: One of its tablespaces or volumes.
            at: A day in the newest period; None: today.
            limit: How many periods at most; None: all.

        Raises:
            NotFound: There is no such object.
            Refused: Several relations have that name.

        """
        connection = _connection()
        found = instance_named(instance)
        scope, object_id, name = Scope.INSTANCE, found.id, instance
        if storage is not None:
            scope, object_id, name = Scope.STORAGE, _storage(connection, found, storage), storage
        elif database is not None:
            database_id = _database(connection, found, database)
            scope, object_id, name = Scope.DATABASE, database_id, database
            if relation is not None:
                relation_id = _relation(connection, database_id, relation)
                scope, object_id, name = Scope.RELATION, relation_id, relation
        rows = capacity_growth.history(
            connection,
            scope,
            object_id,
            period,
            at or _today(),
            None if limit is None else limit + 1,  # one more is the base of the oldest
        )
        by_start = {row.start_on: row for row in rows}
        shown = rows[:limit]
        sealed = capacity_growth.sealed_starts(connection, period, [row.start_on for row in shown])
        periods = []
        for row in shown:
            before = by_start.get(previous_start(period, row.start_on))
            periods.append(
                _growth(
                    period,
                    row.start_on,
                    row,
                    before.last_bytes if before else None,
                    sealed=row.start_on in sealed,
                )
            )
        return GrowthHistory(
            scope, period, instance, database if scope is not Scope.STORAGE else None, name, periods
        )


def _growth(
    period: Period, start: date, row: Any, previous: int | None, *, sealed: bool
) -> PeriodGrowth:
    growth = None if row.last_bytes is None or previous is None else row.last_bytes - previous
    return PeriodGrowth(
        start,
        _last_day(period, start),
        sealed,
        row.seen,
        row.expected,
        row.estimated,
        row.min_bytes,
        row.max_bytes,
        round(row.sum_bytes / row.seen) if row.seen else None,
        row.first_bytes,
        row.last_bytes,
        row.last_at,
        previous,
        growth,
        growth * 100 / previous if growth is not None and previous else None,
    )


def _start(connection: Connection[Any], period: Period, at: date | None) -> date | None:
    if at is not None:
        return start_of(period, at)
    return capacity_growth.latest_start(connection, period, _today())


def _last_day(period: Period, start: date) -> date:
    return next_start(period, start) - timedelta(days=1)


def _today() -> date:
    return day_of(datetime.now(UTC), current_settings().zone)


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


def _database(connection: Connection[Any], instance: Instance, name: str) -> int:
    found = capacity_growth.databases_named(connection, instance.id, name)
    if not found:
        raise NotFound(
            f"the ledger knows no database {name} of {instance.name}",
            f"See which there are: whalefall capacity growth --by database"
            f" --instance {instance.name}",
        )
    return int(found[0].id)


def _relation(connection: Connection[Any], database_id: int, name: str) -> int:
    found = capacity_growth.relations_named(connection, database_id, name)
    if not found:
        raise NotFound(
            f"the ledger knows no relation {name} in that database",
            "Write it as the engine does: schema.table on PostgreSQL, else the table's name.",
        )
    if len(found) > 1:
        names = ", ".join(f"{row.schema}.{row.name}" for row in found)
        raise Refused(f"several relations are called {name}", f"Name its schema, too: {names}")
    return int(found[0].id)


def _storage(connection: Connection[Any], instance: Instance, name: str) -> int:
    found = capacity_growth.storages_named(connection, instance.id, name)
    if not found:
        raise NotFound(
            f"the ledger knows no tablespace or volume {name} of {instance.name}",
            f"See which there are: whalefall capacity growth --by storage"
            f" --instance {instance.name}",
        )
    return int(found[0].id)


growth_service = GrowthService()
