"""One database of capacity: every relation in it, measured as far as the time allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import DatabaseFact, ReadError, Receipt, Target
from app.repositories.remote.postgresql.copy_text import rows
from app.repositories.remote.postgresql.partitioning import partitioning
from app.repositories.remote.postgresql.session import Session, connect
from app.repositories.remote.postgresql.sizes_estimates import (
    Guess,
    Listed,
    error_bound,
    guess,
    not_measured,
    turns,
)
from app.repositories.remote.postgresql.sizes_measuring import GONE, LOCKED, Measured, measure
from app.repositories.remote.sizes import (
    Budget,
    Checkpoint,
    DatabaseSizes,
    Known,
    SizeOfRelation,
)

SYSTEM_KEY = "system"
SYSTEM_NAME = "system catalogs"
LARGE_OBJECTS_KEY = "2613"
"""pg_largeobject, the same in every version."""

_PARTS = ("this_database", "relation_list", "partitioned_tables", "partition_bounds")
_KINDS = {
    "r": RelationKind.TABLE,
    "m": RelationKind.MATERIALIZED_VIEW,
    "p": RelationKind.PARTITIONED,
    "S": RelationKind.SEQUENCE,
}


def read_database_sizes(
    target: Target,
    database: DatabaseFact,
    known: Known,
    budget: Budget,
    receipt: Receipt,
    version: str,  # noqa: ARG001 - other engines need it; here every session knows its own
    checkpoint: Checkpoint,
) -> DatabaseSizes:
    """Read every relation of one database, in a session of its own.

    1. One round trip lists the relations and how the partitioned ones stand. Nothing that is locked
       is touched. TOAST and indexes count with the table whose they are; the catalogs
       together are one relation, "system"; pg_largeobject is one of its own, if it holds anything.
    2. The catalogs are measured first, then the relations in chunks: see ``turns``. What
       somebody has locked against everybody is left out and says who it is; what cannot be measured
       loses no other; what is dropped meanwhile is not listed.
    3. What the budget does not reach is carried over or estimated: see ``guess``. Then, and
       only then, the database as a whole is measured to state how wrong that may be.
    """
    with connect(replace(target, database=database.name), receipt) as session:
        raw = session.copy_out(_PARTS)
        encoding = session.encoding
        if raw["this_database"].decode().strip() != database.key:
            raise ReadError(
                FailureKind.NO_DATABASE,
                "it was dropped and another one of the same name created while the server was read",
                "Nothing: the next collection sees the new one.",
            )
        listed = {one.key: one for one in map(_listed, rows(raw["relation_list"], encoding))}
        partitioned = partitioning(
            rows(raw["partitioned_tables"], encoding), rows(raw["partition_bounds"], encoding)
        )
        del raw
        system, large_objects = _system(session)
        if large_objects is False:
            listed.pop(LARGE_OBJECTS_KEY, None)
        with_files = [one for one in listed.values() if one.kind != "p"]
        checkpoint()
        said = _measure_all(session, turns(with_files, known), budget, checkpoint)
        guesses = {
            one.key: guess(one, known.get(one.key)) for one in with_files if one.key not in said
        }
        relations = {SYSTEM_KEY: system}
        relations |= _relations(session, listed, said, guesses, budget)
        if large_objects is None and _is_empty(relations.get(LARGE_OBJECTS_KEY)):
            del relations[LARGE_OBJECTS_KEY]
            guesses.pop(LARGE_OBJECTS_KEY, None)
        total: int | None = None
        error: int | None = 0
        if any(guesses.values()):
            total = _total(session)
            error = None if total is None else _error(total, relations, guesses)
    return DatabaseSizes(
        relations=tuple(relations.values()),
        total_bytes=total,
        error_bytes=error,
        partitioned=partitioned,
    )


def _listed(row: list[str | None]) -> Listed:
    key, schema, name, kind, persistence, parent, data, toast, index, likely, told, count, mark = (
        row
    )
    return Listed(
        str(key),
        str(schema),
        str(name),
        str(kind),
        str(persistence),
        parent,
        int(data or 0),
        int(toast or 0),
        int(index or 0),
        int(likely or 0),
        told == "t",
        None if count is None else int(count),
        None if mark is None else int(mark),
    )


def _measure_all(
    session: Session, keys: list[str], budget: Budget, checkpoint: Checkpoint
) -> dict[str, Measured]:
    """Return what was said of each relation whose turn came."""
    name = "relation_sizes"

    def left() -> float:
        return budget.left_seconds

    said = {one.key: one for one in measure(session, name, keys, checkpoint, left)}
    # A rewrite that ended in between has taken away the TOAST table that the statement knew.
    torn = [one.key for one in said.values() if not one.error and _torn(one)]
    said |= {one.key: one for one in measure(session, name, torn, checkpoint, left)}
    return said


def _torn(said: Measured) -> bool:
    sizes = said.fields[:3]
    return said.state not in {GONE, LOCKED} and None in sizes


def _relations(
    session: Session,
    listed: Mapping[str, Listed],
    said: Mapping[str, Measured],
    guesses: Mapping[str, Guess | None],
    budget: Budget,
) -> dict[str, SizeOfRelation]:
    now = datetime.now(UTC)
    late = not_measured(budget.seconds)
    root_of = _roots(listed)
    found = {}
    for key, one in listed.items():
        kind = _kind(one)
        data: int | None
        toast: int | None
        index: int | None
        total = data = toast = index = mark = exact_at = unsized = None
        if kind is RelationKind.PARTITIONED:
            total = data = toast = index = 0
            exact_at = now
        elif (measured := said.get(key)) is None:
            if (guessed := guesses[key]) is None:
                unsized = late
            else:
                total, data, toast, index, exact_at, _ = guessed
                mark = one.change_mark if exact_at else None
        elif measured.state == GONE:
            continue
        elif (unsized := _unsized(session, measured)) is None:
            data, toast, index = (int(part or 0) for part in measured.fields[:3])
            total = data + toast + index
            mark, exact_at = one.change_mark, now
        found[key] = SizeOfRelation(
            key=key,
            schema=one.schema,
            name=one.name,
            kind=kind,
            parent_key=root_of.get(key),
            total_bytes=total,
            data_bytes=data,
            toast_bytes=toast,
            index_bytes=index,
            row_estimate=one.row_estimate,
            exact_at=exact_at,
            change_mark=mark,
            unsized=unsized,
        )
    return found


def _kind(one: Listed) -> RelationKind:
    """Return its kind; a partition that is partitioned again holds nothing: it is PARTITIONED."""
    if one.kind == "p":
        return RelationKind.PARTITIONED
    if one.persistence == "t":
        return RelationKind.TEMPORARY
    return RelationKind.PARTITION if one.parent_key else _KINDS[one.kind]


def _roots(listed: Mapping[str, Listed]) -> dict[str, str]:
    """Return the topmost partitioned table of each partition."""
    root_of: dict[str, str] = {}
    for key, one in listed.items():
        root, parent = None, one.parent_key
        while parent is not None:
            root = parent
            parent = listed[parent].parent_key if parent in listed else None
        if root is not None:
            root_of[key] = root
    return root_of


def _unsized(session: Session, said: Measured) -> ReadError | None:
    """Return why a relation that was asked about has no size."""
    if said.error is not None:
        if said.error.kind is not FailureKind.LOCKED:
            return said.error
        waited = session.target.lock_timeout_seconds
        return _locked(f"it could not be opened within {waited:g} s: something of it is locked")
    if said.state == LOCKED:
        pid, granted, role, since = said.fields[3:7]
        who = f"session {pid}" if pid else "a prepared transaction"
        who += f" of {role}" if role else ""
        who += f", in a transaction since {since} UTC," if since else ""
        verb = "has locked it" if granted == "t" else "waits to lock it"
        return _locked(f"{who} {verb} against everybody")
    if _torn(said):
        return ReadError(FailureKind.LOCKED, "it was rewritten while it was being measured")
    return None


def _locked(message: str) -> ReadError:
    return ReadError(
        FailureKind.LOCKED,
        message,
        "Nothing, if that ends before the next collection; see pg_locks and pg_stat_activity.",
    )


def _is_empty(relation: SizeOfRelation | None) -> bool:
    return relation is not None and relation.data_bytes == 0


def _system(session: Session) -> tuple[SizeOfRelation, bool | None]:
    """Return the catalogs together, as one relation, and whether there are large objects.

    Without any, pg_largeobject is one of them; None: it could not be told.
    """
    raw, error = session.copy_rows("system_catalog_sizes", {})
    relation = SizeOfRelation(
        key=SYSTEM_KEY, schema=None, name=SYSTEM_NAME, kind=RelationKind.SYSTEM, unsized=error
    )
    if error is not None:
        return relation, None
    ((*sizes, without_large_objects),) = rows(raw)
    data, toast, index = (int(size or 0) for size in sizes)
    sized = replace(
        relation,
        total_bytes=data + toast + index,
        data_bytes=data,
        toast_bytes=toast,
        index_bytes=index,
        exact_at=datetime.now(UTC),
    )
    return sized, without_large_objects == "f"


def _total(session: Session) -> int | None:
    raw, error = session.copy_rows("this_database_size", {})
    sizes = [] if error else [size for (size,) in rows(raw)]
    return int(sizes[0]) if sizes and sizes[0] is not None else None


def _error(
    total: int, relations: Mapping[str, SizeOfRelation], guesses: Mapping[str, Guess | None]
) -> int:
    """Return how many bytes the sizes that were not measured may be wrong by together."""
    measured = sum(one.total_bytes or 0 for key, one in relations.items() if key not in guesses)
    return error_bound(total, measured, (one for one in guesses.values() if one is not None))
