"""Log entries: writing batches of them exactly once, and every question to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from app.constants.logs import CLASS_OF_LEVEL
from app.repositories import copying
from app.utils.log_fingerprints import fingerprint_of
from app.utils.log_queue import Entry
from app.utils.log_records import event_of
from app.utils.log_spill import Producer
from app.utils.sql_files import load_sql

_COPY = (
    "COPY log_entries (producer_id, sequence, occurred_at, fingerprint, run_id, item_id,"
    " instance_id, severity_class, level, logger, module, event, fields, traceback) FROM STDIN"
)
_NULL = b"\\N"
_IDS = (("run_id", 2**63), ("item_id", 2**63), ("instance_id", 2**31))


class Row(NamedTuple):
    """One entry as a line of COPY, and what decides where it goes."""

    sequence: int
    severity_class: str
    occurred_at: datetime
    line: bytes


class Cursor(NamedTuple):
    """A place in the order of time."""

    occurred_at: datetime
    producer_id: int
    sequence: int


class Filters(NamedTuple):
    """Which entries are meant; None: all."""

    classes: list[str]
    without_levels: list[str]
    run_id: int | None = None
    instance_ids: list[int] | None = None
    module: str | None = None
    """Or the logger, or a logger that this one is above of."""
    fingerprint: int | None = None
    pattern: str | None = None
    """Of ILIKE: for the event, the fields, the traceback and the instance's name."""


def rows_of(entries: Iterable[Entry]) -> list[Row]:
    """Return the rows of entries; one that is no event becomes a row that says so."""
    return [_row(entry) for entry in entries]


def substitute(row: Row, why: str) -> Row:
    """Return what is written instead of an entry that the store refuses."""
    event = {
        "timestamp": row.occurred_at.isoformat(),
        "level": "error",
        "logger": "whalefall",
        "module": "log_centre",
        "event": "A log entry could not be stored",
        "error": why,
    }
    return _row(Entry(row.sequence, orjson.dumps(event)))


def producer_of(connection: Connection, producer: Producer) -> tuple[int, int]:
    """Return (id, sequence up to which all is there) of a producer; nobody else writes for it now.

    Until the transaction ends.
    """
    found = text("SELECT id, last_sequence FROM log_producers WHERE token = :token FOR UPDATE")
    row = connection.execute(found, {"token": producer.token}).one_or_none()
    if row is None:
        connection.execute(
            text(
                "INSERT INTO log_producers (token, host, process_id, started_at)"
                " VALUES (:token, :host, :process_id, :started_at) ON CONFLICT (token) DO NOTHING"
            ),
            {
                "token": producer.token,
                "host": producer.host,
                "process_id": producer.process_id,
                "started_at": producer.started_at,
            },
        )
        row = connection.execute(found, {"token": producer.token}).one()
    return row.id, row.last_sequence


def write(connection: Connection, producer_id: int, rows: Sequence[Row]) -> None:
    """Send rows to the store, by COPY; ``advance`` belongs to the same transaction."""
    prefix = b"%d\t" % producer_id
    copying.copy_lines(
        connection.connection.driver_connection,  # type: ignore[arg-type] # psycopg's
        _COPY,
        (prefix + row.line for row in rows),
    )


def advance(
    connection: Connection, producer_id: int, *, rows: Sequence[Row], lost_count: int
) -> None:
    """Note how far the entries of a producer have arrived, and how many never will."""
    connection.execute(
        text(
            "UPDATE log_producers SET"
            " last_sequence = greatest(last_sequence, :sequence),"
            " last_entry_at = greatest(last_entry_at, :at),"
            " lost_count = greatest(lost_count, :lost)"
            " WHERE id = :id"
        ),
        {
            "id": producer_id,
            "sequence": rows[-1].sequence if rows else 0,
            "at": max((row.occurred_at for row in rows), default=None),
            "lost": lost_count,
        },
    )


def newest(
    session: Session, filters: Filters, *, since: datetime, before: Cursor, limit: int
) -> Sequence[Any]:
    """Return entries that match, newest first."""
    parameters = filters._asdict() | {
        "since": since,
        "before_at": before.occurred_at,
        "before_producer": before.producer_id,
        "before_sequence": before.sequence,
        "limit": limit,
    }
    return _rows(session, "log_entries_newest.sql", parameters)


def of_producer(
    session: Session,
    filters: Filters,
    producer_id: int,
    *,
    after: int,
    through: int,
    since: datetime,
    limit: int,
) -> Sequence[Any]:
    """Return entries of one producer behind a sequence, up to another one, in its order."""
    parameters = filters._asdict() | {
        "producer_id": producer_id,
        "after": after,
        "through": through,
        "since": since,
        "limit": limit,
    }
    return _rows(session, "log_entries_of_producer.sql", parameters)


def groups(
    session: Session,
    *,
    classes: Sequence[str],
    since: datetime,
    until: datetime,
    limit: int,
) -> Sequence[Any]:
    """Return groups of entries that tell the same, the most frequent first."""
    parameters = {"classes": list(classes), "since": since, "until": until, "limit": limit}
    return _rows(session, "log_groups.sql", parameters)


def producers(session: Session) -> Sequence[Any]:
    """Return (id, last_sequence, last_entry_at, started_at) of every producer."""
    sql = "SELECT id, last_sequence, last_entry_at, started_at FROM log_producers"
    return session.connection().exec_driver_sql(sql).all()


def like(words: str) -> str:
    """Return the pattern of what contains the words as they are."""
    for special in ("\\", "%", "_"):
        words = words.replace(special, f"\\{special}")
    return f"%{words}%"


def _row(entry: Entry) -> Row:
    try:
        event = event_of(entry.record)
    except ValueError as invalid:
        event = {"event": "A log entry cannot be read", "level": "error", "error": str(invalid)}
    level = str(event.pop("level", "info"))
    at = _moment(event.pop("timestamp", None))
    severity = CLASS_OF_LEVEL.get(level, "info")
    fingerprint = b"%d" % fingerprint_of(event) if severity != "info" else _NULL
    ids = [_whole(event, name, limit) for name, limit in _IDS]
    logger = event.pop("logger", None)
    module = event.pop("module", None)
    told = event.pop("event", "")
    trace = event.pop("exception", None)
    stack = event.pop("stack", None)
    if isinstance(stack, str):
        trace = f"{trace}\n{stack}" if isinstance(trace, str) else stack
    fields = copying.document(orjson.dumps(event)) if event else _NULL
    line = b"\t".join(
        (
            b"%d" % entry.sequence,
            at.isoformat().encode(),
            fingerprint,
            *ids,
            severity.encode(),
            _text(level),
            _text(logger or "root"),
            _NULL if module is None else _text(module),
            _text(told),
            fields,
            _NULL if trace is None else _text(trace),
        )
    )
    return Row(entry.sequence, severity, at, line + b"\n")


def _text(value: object) -> bytes:
    return copying.text(value if isinstance(value, str) else orjson.dumps(value).decode()).encode()


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole(event: dict[str, Any], name: str, limit: int) -> bytes:
    value = event.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit:
        del event[name]
        return b"%d" % value
    return _NULL


def _rows(session: Session, file: str, parameters: dict[str, Any]) -> Sequence[Any]:
    sql = load_sql("app.repositories.sql", file)
    return session.connection().exec_driver_sql(sql, parameters).all()
