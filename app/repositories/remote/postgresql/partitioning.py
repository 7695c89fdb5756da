"""How the partitioned tables of one database stand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from app.repositories.remote.sizes import PartitioningFact

_STRATEGIES = {"r": "range", "l": "list", "h": "hash"}
_TIMES = {"date", "timestamp without time zone", "timestamp with time zone"}
_NUMBERS = {"smallint", "integer", "bigint", "numeric", "oid", "real", "double precision"}
_UNBOUNDED = {"MINVALUE": 0, "MAXVALUE": 2}
_UPPER = re.compile(r" TO (\((?:[^'()]|'(?:[^']|'')*')*\))$")
_VALUE = re.compile(r"'((?:[^']|'')*)'|([^',() ][^',()]*)")


class Bound(NamedTuple):
    """The upper bound of one partition by range."""

    partition: str
    text: str
    """As the engine writes it: ``('2026-12-01')``."""
    values: list[tuple[int, str]]
    """One a column: 0 for MINVALUE, 2 for MAXVALUE, else 1, and the value."""


def partitioning(
    tables: Iterable[list[str | None]], bounds: Iterable[list[str | None]]
) -> tuple[PartitioningFact, ...]:
    """Return a fact for each partitioned table, from partitioned_tables.sql and its bounds.

    The last partition is the one with the highest upper bound. Only partitioning by range has one;
    text is compared by code points, whatever its collation. Bounds without a time zone are
    taken as UTC.
    """
    by_table: dict[str, list[Bound]] = defaultdict(list)
    for table, partition, bound in bounds:
        if (found := upper_bound(str(partition), str(bound))) is not None:
            by_table[str(table)].append(found)
    facts = []
    for key, strategy, definition, count, types, default, rows in tables:
        of_columns = str(types).split(",")
        last = max(
            by_table.get(str(key), ()),
            key=lambda one: [_rank(kind, value) for kind, value in zip(of_columns, one.values)],  # noqa: B905 - used at once; of a bound that we misread the rest counts
            default=None,
        )
        facts.append(
            PartitioningFact(
                key=str(key),
                strategy=_STRATEGIES.get(str(strategy), str(strategy)),
                partition_count=int(count or 0),
                key_definition=str(definition),
                last_partition=last.partition if last else None,
                last_bound=last.text if last else None,
                last_bound_at=_moment(of_columns, last),
                default_name=default,
                default_rows=None if rows is None else int(rows),
            )
        )
    return tuple(facts)


def upper_bound(partition: str, bound: str) -> Bound | None:
    """Return the upper bound that ``FOR VALUES FROM (…) TO (…)`` states."""
    stated = _UPPER.search(bound)
    if stated is None:
        return None
    values = [
        (_UNBOUNDED[plain], "") if plain in _UNBOUNDED else (1, plain or quoted.replace("''", "'"))
        for quoted, plain in _VALUE.findall(stated[1])
    ]
    return Bound(partition, stated[1], values)


def _rank(kind: str, value: tuple[int, str]) -> tuple[int, Any]:
    """Return what sorts values of one column as the engine does."""
    extent, text = value
    if extent != 1:
        return extent, 0
    if kind not in _TIMES and kind not in _NUMBERS:
        return 1, text
    if text.lower() in {"infinity", "nan"}:
        return 2, 0
    if text.lower() == "-infinity" or text.endswith(" BC"):
        return 0, 0
    try:
        return 1, _time(text) if kind in _TIMES else Decimal(text)
    except ValueError:
        return 2, 0  # a year after 9999


def _time(value: str) -> datetime:
    """Return the time that PostgreSQL wrote with DateStyle ISO and TimeZone UTC."""
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(types: list[str], last: Bound | None) -> datetime | None:
    if last is None or len(types) != 1 or types[0] not in _TIMES or len(last.values) != 1:
        return None
    extent, value = last.values[0]
    try:
        return _time(value) if extent == 1 else None
    except ValueError:
        return None  # before year 1, after 9999, or -infinity
