"""What the engine says of tables one by one: which opens them, takes its time, and may be refused.

The names of a database's tables come first and cost nothing; the rest is asked for in chunks of
them as long as the budget lasts, so that nothing is lost but what no time was left for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.mysql.names import literal
from app.repositories.remote.mysql.sizes_dialect import Dialect, literals
from app.repositories.remote.mysql_session import LOCK_WAIT_TIMEOUT, Row, Rows, Session
from app.repositories.remote.sizes import Budget, Checkpoint

AT_ONCE = 500
"""Tables a statement: enough that the statements cost little, few enough that one of them ends in
time."""
_NO_ANSWER = 4294967295
"""MySQL may give it as the first statistic of a table that it could not open."""
_VIEWS = ("VIEW", "SYSTEM VIEW")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One table as the engine describes it."""

    name: str
    engine: str | None
    partitioned: bool
    sequence: bool
    rows: int | None
    data_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None
    problem: ReadError | None
    """Why the numbers are not there."""


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One partition, or subpartition, as the engine describes it."""

    table: str
    partition: str
    subpartition: str | None
    position: int
    method: str
    expression: str | None
    description: str | None
    rows: int | None
    data_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None

    @property
    def leaf(self) -> str:
        """The name of what has a file."""
        return self.subpartition or self.partition


@dataclass
class Described:
    """What could be learnt of the tables of one database."""

    tables: dict[str, TableRow] = field(default_factory=dict)
    partitions: dict[str, list[PartitionRow]] = field(default_factory=dict)
    unread: dict[str, ReadError] = field(default_factory=dict)
    """Tables, and where the engine does not tell them apart views, that were not described."""
    gone: set[str] = field(default_factory=set)
    """Dropped since they were listed, or no tables but views."""


def describe(
    session: Session,
    dialect: Dialect,
    schema: str,
    names: Sequence[str],
    budget: Budget,
    checkpoint: Checkpoint,
) -> Described:
    """Ask for every table, in the given order, until the time is over.

    Raises:
        ReadError: the connection was lost.

    """
    found = Described()
    for start in range(0, len(names), AT_ONCE):
        chunk = list(names[start : start + AT_ONCE])
        checkpoint()
        answer = _ask(session, dialect, "tables", schema, chunk, budget)
        if isinstance(answer, ReadError):
            found.unread |= dict.fromkeys(chunk, answer)
            continue
        rows, warnings = answer
        described = {row[0]: row for row in rows}
        found.gone |= {name for name in chunk if name not in described}
        for name, row in described.items():
            if row[1] in _VIEWS:
                found.gone.add(name)
            else:
                found.tables[name] = _table(row, warnings)
        partitioned = [
            name
            for name in chunk
            if name in found.tables
            and found.tables[name].partitioned
            and found.tables[name].problem is None
        ]
        if not partitioned:
            continue
        answer = _ask(session, dialect, "partitions", schema, partitioned, budget)
        if isinstance(answer, ReadError):
            found.unread |= dict.fromkeys(partitioned, answer)
            continue
        rows, warnings = answer
        for row in rows:
            partition = _partition(row, doubtful=bool(warnings))
            found.partitions.setdefault(partition.table, []).append(partition)
    return found


def _ask(
    session: Session,
    dialect: Dialect,
    question: str,
    schema: str,
    tables: list[str],
    budget: Budget,
) -> tuple[Rows, frozenset[str]] | ReadError:
    """Return the rows and warnings, or why there are none; raises if nobody is left to ask."""
    left = budget.left_seconds
    if left <= 0:
        return ReadError(FailureKind.BUDGET, "no time was left for it; its turn comes next time")
    try:
        if left < session.target.statement_timeout_seconds:
            session.ask(f"SET SESSION {dialect.time_limit(left)}")
        return session.ask_carefully(
            dialect.sql(question, schema=literal(schema), tables=literals(tables))
        )
    except ReadError as error:
        if error.kind is FailureKind.LOST:
            raise
        return error


def _table(row: Row, warnings: frozenset[str]) -> TableRow:
    """Return what a row says.

    Of a table that could not be opened MariaDB gives no engine, and MySQL zeros; both have the
    warning for its comment.
    """
    name, kind, engine, options, rows, data, index, free, comment = row
    sizes = [_number(text) for text in (rows, data, index, free)]
    problem = None
    if engine is None or comment in warnings or _NO_ANSWER in sizes:
        locked = comment == LOCK_WAIT_TIMEOUT
        problem = ReadError(
            FailureKind.LOCKED if locked else FailureKind.QUERY,
            f"{name}: {'it is locked' if locked else comment or 'the engine cannot open it'}",
        )
        sizes = [None] * 4
    return TableRow(
        name=name,
        engine=engine,
        partitioned="partitioned" in (options or ""),
        sequence=kind == "SEQUENCE",
        rows=sizes[0],
        data_bytes=sizes[1],
        index_bytes=sizes[2],
        free_bytes=sizes[3],
        problem=problem,
    )


def _partition(row: Row, *, doubtful: bool) -> PartitionRow:
    """Return what a row says; if there were warnings, zeros may mean that nothing is known."""
    table, name, subpartition, position, method, expression, description, *statistics = row
    numbers = [_number(text) for text in statistics]
    if _NO_ANSWER in numbers or (doubtful and not any(numbers)):
        numbers = [None] * 4
    return PartitionRow(
        table,
        name,
        subpartition,
        int(position),
        method,
        expression,
        None if description is None else description.strip(),
        *numbers,
    )


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
