"""What was said, for people: the latest, what holds a word, and what was said most often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError

from app.constants.logs import AT_LEAST, Level
from app.models import db
from app.repositories import instances, log_entries
from app.repositories.log_entries import Cursor, Filters
from app.utils.refusal import NotFound, Refused

INVERSION = timedelta(minutes=5)
"""By how much an entry may be older than the one that its process said before it."""
AT_ONCE = 5_000
_LAST = 2**63 - 1


@dataclass(frozen=True)
class LogRow:
    """One entry."""

    occurred_at: datetime
    level: str
    logger: str
    module: str | None
    event: str
    fields: dict[str, Any]
    traceback: str | None
    run_id: int | None
    item_id: int | None
    instance_id: int | None
    instance: str | None
    """Its present name."""
    group: str | None
    """Equal for warnings and errors that tell the same."""
    cursor: str
    """Its place in the order of time."""


@dataclass(frozen=True)
class LogPage:
    """Entries of a list, and where the next one goes on."""

    entries: list[LogRow]
    next_before: str | None


@dataclass(frozen=True)
class LogGroup:
    """Warnings or errors that tell the same, of however many servers."""

    group: str
    entry_count: int
    instance_count: int
    first_at: datetime
    last_at: datetime
    level: str
    logger: str
    module: str | None
    event: str
    error: str | None
    """Of the example, which is the latest one."""
    traceback: str | None
    run_id: int | None
    instance: str | None


@dataclass(frozen=True)
class Wanted:
    """Which entries somebody wants to see."""

    level: Level = Level.DEBUG
    """At least so severe."""
    run_id: int | None = None
    instance: str | None = None
    module: str | None = None
    group: str | None = None
    text: str | None = None


class LogCentreService:
    """Answers from the log centre."""

    def list_entries(
        self,
        wanted: Wanted,
        *,
        since: datetime,
        until: datetime | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> LogPage:
        """Return entries of a span of time, newest first.

        Args:
            wanted: Which ones.
            since: The beginning.
            until: The end; None: now, and what clocks that are fast said.
            limit: How many at most.
            before: ``next_before`` of the page before this one.

        Raises:
            NotFound: There is no such instance.
            Refused: ``before`` or the group is none of ours.

        """
        place = Cursor(until or datetime.now(UTC) + timedelta(days=2), -1, -1)
        if before is not None:
            place = _place_of(before)
        found = log_entries.newest(
            db.session, _filters(wanted), since=since, before=place, limit=limit
        )
        db.session.rollback()
        rows = [_row(row) for row in found]
        return LogPage(rows, rows[-1].cursor if len(rows) == limit else None)

    def list_groups(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        level: Level = Level.WARNING,
        limit: int = 50,
    ) -> list[LogGroup]:
        """Return warnings and errors by what they tell, the most frequent first."""
        found = log_entries.groups(
            db.session,
            classes=[name for name in AT_LEAST[level][0] if name != "info"],
            since=since,
            until=until or datetime.now(UTC) + timedelta(days=2),
            limit=limit,
        )
        db.session.rollback()
        return [
            LogGroup(
                group=_group(row.fingerprint) or "",
                entry_count=row.entry_count,
                instance_count=row.instance_count,
                first_at=row.first_at,
                last_at=row.last_at,
                level=row.level,
                logger=row.logger,
                module=row.module,
                event=row.event,
                error=(row.fields or {}).get("error"),
                traceback=row.traceback,
                run_id=row.run_id,
                instance=row.instance,
            )
            for row in found
        ]

    def follow(self, wanted: Wanted, count: int, since: datetime) -> Follower:
        """Return the latest entries, and each that arrives from now on, once, however late."""
        return Follower(self, wanted, count, since)


class Follower:
    """Entries as they arrive; the order is that of their arrival, and within a process its own."""

    def __init__(
        self, service: LogCentreService, wanted: Wanted, count: int, since: datetime
    ) -> None:
        self._filters = _filters(wanted)
        self.away = False
        """Whether the store did not answer the last time."""
        marks = log_entries.producers(db.session)
        db.session.rollback()
        self._seen = {row.id: row.last_sequence for row in marks}
        self._at = {row.id: row.last_entry_at or row.started_at for row in marks}
        page = service.list_entries(wanted, since=since, limit=count) if count else None
        self.latest = page.entries[::-1] if page else []
        """What had been said before, oldest first."""
        self._shown = {entry.cursor for entry in self.latest}

    def news(self) -> list[LogRow]:
        """Return what has arrived since the last call; empty, with ``away``, if nobody answers."""
        try:
            rows = self._arrived()
        except (OperationalError, InterfaceError):
            db.session.rollback()
            self.away = True
            return []
        self.away = False
        return [row for row in rows if row.cursor not in self._shown]

    def _arrived(self) -> list[LogRow]:
        rows: list[LogRow] = []
        now = datetime.now(UTC)
        for producer in log_entries.producers(db.session):
            seen = self._seen.get(producer.id, 0)
            if producer.last_sequence <= seen:
                continue
            found = log_entries.of_producer(
                db.session,
                self._filters,
                producer.id,
                after=seen,
                through=producer.last_sequence,
                # a clock that was fast for a moment must not hide what comes after it
                since=min(now, self._at.get(producer.id, producer.started_at)) - INVERSION,
                limit=AT_ONCE,
            )
            rows += [_row(row) for row in found]
            whole = len(found) < AT_ONCE
            self._seen[producer.id] = producer.last_sequence if whole else found[-1].sequence
            if whole and producer.last_entry_at is not None:
                self._at[producer.id] = producer.last_entry_at
        db.session.rollback()
        return sorted(rows, key=lambda row: row.occurred_at)


def _filters(wanted: Wanted) -> Filters:
    classes, without_levels = AT_LEAST[wanted.level]
    return Filters(
        classes=list(classes),
        without_levels=list(without_levels),
        run_id=wanted.run_id,
        instance_ids=_ids_of(wanted.instance) if wanted.instance else None,
        module=wanted.module,
        fingerprint=_fingerprint_of(wanted.group) if wanted.group else None,
        pattern=log_entries.like(wanted.text) if wanted.text else None,
    )


def _ids_of(name: str) -> list[int]:
    ids = instances.ids_ever_named(db.session, name)
    if not ids:
        raise NotFound(
            f"there is no instance named {name}", "whalefall instance list shows them all."
        )
    return ids


def _row(row: Any) -> LogRow:
    return LogRow(
        occurred_at=row.occurred_at,
        level=row.level,
        logger=row.logger,
        module=row.module,
        event=row.event,
        fields=row.fields or {},
        traceback=row.traceback,
        run_id=row.run_id,
        item_id=row.item_id,
        instance_id=row.instance_id,
        instance=row.instance,
        group=_group(row.fingerprint),
        cursor="_".join(
            (
                row.occurred_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f"),
                str(row.producer_id),
                str(row.sequence),
            )
        ),
    )


def _group(fingerprint: int | None) -> str | None:
    return None if fingerprint is None else f"{fingerprint:016x}"


def _fingerprint_of(group: str) -> int:
    try:
        number = int(group, 16)
    except ValueError:
        number = -1
    if not 0 <= number <= _LAST:
        raise Refused(f"{group!r} is no group", "whalefall logs groups shows them.")
    return number


def _place_of(cursor: str) -> Cursor:
    try:
        moment, producer, sequence = cursor.split("_")
        at = datetime.strptime(moment, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
        return Cursor(at, int(producer), int(sequence))
    except ValueError:
        raise Refused(
            f"{cursor!r} is no place in the log", "Take it from the list before: next_before."
        ) from None


log_centre_service = LogCentreService()
