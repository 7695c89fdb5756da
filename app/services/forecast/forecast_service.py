"""When everything is full: computed after each aggregation, and what people ask about it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
from psycopg import Connection
from sqlalchemy import select

from app.config import current_settings
from app.constants.capacity import ForecastStatus, Scope
from app.models import Instance, db
from app.repositories import forecasts
from app.services.forecast.forecasting import Learned, calibrated, foretell, learn
from app.services.forecast.histories import HISTORY_DAYS, Histories, histories
from app.services.forecast.verdicts import (
    Verdict,
    cannot_say,
    facts_of,
    foretold_verdict,
    full,
    too_little,
    unknown_size,
)
from app.utils.periods import day_of
from app.utils.refusal import NotFound, Refused
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()

_OBJECTS_AT_ONCE = 2048


@dataclass(frozen=True)
class ForecastRow:
    """One forecast, with the name of what it is about; None is unknown, or does not apply."""

    scope: str
    instance: str
    name: str | None
    """Of the database, tablespace or volume; None: the instance itself."""
    kind: str | None
    """tablespace or volume."""
    computed_at: datetime
    as_of: date
    """The day of the last sample, from which days are counted."""
    current_bytes: int | None
    limit_bytes: int | None
    limit_source: str | None
    status: str
    reason: str | None
    bytes_per_day: float | None
    days_to_limit: float | None
    days_earliest: float | None
    days_latest: float | None
    full_on: date | None
    earliest_on: date | None
    latest_on: date | None
    history_days: int
    regime_since: date | None
    backtest_error: float | None
    """In percent."""
    backtest_count: int | None


@dataclass(frozen=True)
class ForecastList:
    """Some forecasts, and whether there are more than were asked for."""

    rows: list[ForecastRow]
    more: bool


@dataclass(frozen=True)
class LimitRow:
    """How much of something may be used, as a person has said."""

    scope: str
    instance: str
    name: str | None
    kind: str | None
    limit_bytes: int
    set_at: datetime
    set_by: str | None


class ForecastService:
    """Foretells from the ledger; never asks a server."""

    def refresh(self) -> dict[str, Any]:
        """Compute every forecast anew, in the place of what was foretold before.

        1. Read the days of every living instance, database, tablespace and volume.
        2. Fit and back-test those with enough history.
        3. From the errors of all of them together: how wide an interval has to be.
        4. Write one row for each, also for those of which nothing can be said, with the reason.

        Nothing is held in the store while it computes. Commits.
        """
        began = time.monotonic()
        connection = _connection()
        now: datetime = connection.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index] # one row
        found = forecasts.subjects(connection)
        db.session.rollback()
        first_day = day_of(now, current_settings().zone) - timedelta(days=HISTORY_DAYS - 1)
        verdicts: list[Verdict] = []
        waiting: list[tuple[Learned, list[dict[str, Any]]]] = []
        for some in _batches(found):
            past = _read(some, first_day)
            enough = []
            for row, subject in enumerate(some):
                facts = facts_of(subject, past, row, first_day, now)
                early = _without_model(facts, past, row, first_day)
                if early is None:
                    enough.append((row, facts))
                else:
                    verdicts.append(early)
            rows = iter(facts for _, facts in enough)
            for learned in learn(past.sizes[[row for row, _ in enough]]):
                count = len(learned.changed)
                waiting.append((learned, [next(rows) for _ in range(count)]))
        calibration = calibrated(learned for learned, _ in waiting)
        for learned, of_each in waiting:
            limits = np.array([f["limit_bytes"] or np.inf for f in of_each], dtype=np.float64)
            told = foretell(learned, calibration, limits)
            verdicts += [
                foretold_verdict(facts, learned, told, row) for row, facts in enumerate(of_each)
            ]
        forecasts.replace(_connection(), map(astuple, verdicts))
        db.session.commit()
        statuses = Counter(str(verdict.status) for verdict in verdicts)
        return {
            "forecast_count": len(verdicts),
            "statuses": {str(status): statuses[status] for status in ForecastStatus},
            "seconds": round(time.monotonic() - began, 3),
        }

    def refresh_or_tell(self) -> dict[str, Any]:
        """Compute every forecast anew, or return and log why not; the old ones stay then."""
        try:
            return self.refresh()
        except Exception as error:
            db.session.rollback()
            logger.exception("The forecast could not be computed", module="forecast")
            return {"error": f"{type(error).__name__}: {error}"}

    def list_forecasts(
        self,
        *,
        instance: str | None = None,
        scope: str | None = None,
        within_days: int | None = None,
        limit: int | None = 100,
    ) -> ForecastList:
        """Return forecasts, what is full first before what fills first.

        Args:
            instance: Only this server and what is on it.
            scope: Only instances, databases or storages.
            within_days: Only what is expected to reach its limit within so many days from today.
            limit: None: all.

        Raises:
            NotFound: There is no such instance.

        """
        connection = _connection()
        today = day_of(datetime.now().astimezone(), current_settings().zone)
        found = forecasts.list_forecasts(
            connection,
            instance_id=_instance_named(instance).id if instance is not None else None,
            scope=scope,
            until=today + timedelta(days=within_days) if within_days is not None else None,
            limit=None if limit is None else limit + 1,
        )
        shown = [_row(one) for one in found[:limit]]
        return ForecastList(shown, len(found) > len(shown))

    def set_limit(
        self,
        instance: str,
        limit_bytes: int,
        *,
        database: str | None = None,
        storage: str | None = None,
        by: str | None = None,
    ) -> None:
        """Say how much of an instance, a database, a tablespace or a volume may be used.

        It wins over the limit that the server itself tells. The forecast heeds it from the next
        ``refresh`` on. Commits.

        Raises:
            NotFound: There is no such thing.
            Refused: The name is that of several.

        """
        scope, object_id = _object_named(instance, database, storage)
        forecasts.set_limit(_connection(), scope, object_id, limit_bytes, by)
        db.session.commit()

    def clear_limit(
        self, instance: str, *, database: str | None = None, storage: str | None = None
    ) -> None:
        """Forget the limit that a person has set. Commits.

        Raises:
            NotFound: There is no such thing, or nobody has set a limit on it.
            Refused: The name is that of several.

        """
        scope, object_id = _object_named(instance, database, storage)
        if not forecasts.clear_limit(_connection(), scope, object_id):
            raise NotFound(
                f"no limit is set on {database or storage or instance}",
                "Those that are: whalefall capacity limit list",
            )
        db.session.commit()

    def list_limits(self) -> list[LimitRow]:
        """Return every limit that a person has set on something that is still there."""
        return [LimitRow(**row._asdict()) for row in forecasts.list_limits(_connection())]


def _batches(found: list[Any]) -> Iterator[list[Any]]:
    """Yield subjects of one scope, some at a time, in the order of their ids."""
    for _, of_scope in groupby(found, key=lambda subject: subject.scope):
        every = list(of_scope)
        for first in range(0, len(every), _OBJECTS_AT_ONCE):
            yield every[first : first + _OBJECTS_AT_ONCE]


def _read(some: list[Any], first_day: date) -> Histories:
    object_ids = [subject.object_id for subject in some]
    last_day = first_day + timedelta(days=HISTORY_DAYS - 1)
    records = forecasts.daily_sizes(_connection(), some[0].scope, object_ids, first_day, last_day)
    db.session.rollback()
    return histories(object_ids, records)


def _without_model(
    facts: dict[str, Any], past: Histories, row: int, first_day: date
) -> Verdict | None:
    """Return the verdict for which no model is needed, or None."""
    unknown = unknown_size(past, row, first_day)
    if unknown is not None:
        return cannot_say(facts, unknown)
    little = too_little(past, row)
    if little is not None:
        return full(facts) or cannot_say(facts, little)
    return None


def _row(found: Any) -> ForecastRow:
    values = found._asdict()
    for name, days in (
        ("full_on", found.days_to_limit),
        ("earliest_on", found.days_earliest),
        ("latest_on", found.days_latest),
    ):
        values[name] = None if days is None else found.as_of + timedelta(days=days)
    return ForecastRow(**values)


def _object_named(instance: str, database: str | None, storage: str | None) -> tuple[str, int]:
    if database is not None and storage is not None:
        raise Refused("a limit is on a database or on a storage", "Name only one of them.")
    instance_id = _instance_named(instance).id
    name = database if database is not None else storage
    if name is None:
        return Scope.INSTANCE, instance_id
    scope = Scope.DATABASE if database is not None else Scope.STORAGE
    found = forecasts.open_objects(_connection(), scope, instance_id, name)
    if not found:
        what = "database" if database is not None else "tablespace or volume"
        raise NotFound(
            f"{instance} has no {what} named {name}",
            f"What it has: whalefall capacity forecast --instance {instance}",
        )
    if len(found) > 1:
        either = " or ".join(f"{kind}:{name}" for _, kind in found)
        raise Refused(f"{instance} has several of that name", f"Say which one: {either}")
    return scope, found[0][0]


def _instance_named(name: str) -> Instance:
    found = db.session.scalar(
        select(Instance).where(Instance.name == name, Instance.removed_at.is_(None))
    )
    if found is None:
        raise NotFound(
            f"there is no instance named {name}", "whalefall instance list shows them all."
        )
    return found


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


forecast_service = ForecastService()
