"""How the partitioned tables of one database stand: which comes last, and what fits nowhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from app.repositories.remote.mysql.sizes_names import relation_key
from app.repositories.remote.mysql.sizes_tables import PartitionRow
from app.repositories.remote.sizes import PartitioningFact

_CALL = re.compile(r"(\w+)\s*\(\s*`?[^()]*`?\s*\)", re.DOTALL)
_DAYS_BEFORE_YEAR_1 = 365
"""By which TO_DAYS differs from Python's ordinal of a day."""
_EVERYTHING = ("MAXVALUE", "DEFAULT", "CURRENT")


def partitioning(rows: Sequence[PartitionRow]) -> PartitioningFact:
    """Return how a table is partitioned.

    Args:
        rows: its partitions, subpartitions one by one, in the order of the engine.

    """
    first = rows[0]
    names = list(dict.fromkeys(row.partition for row in rows))
    default = next((row.partition for row in rows if _takes_everything(row)), None)
    bounded = [row for row in rows if row.description is not None and row.partition != default]
    last = bounded[-1] if bounded and first.method.startswith(("RANGE", "SYSTEM")) else None
    rest = [row.rows for row in rows if row.partition == default]
    return PartitioningFact(
        key=relation_key(first.table),
        strategy=first.method,
        partition_count=len(names),
        key_definition=first.expression or "",
        last_partition=last.partition if last else next(reversed(names)),
        last_bound=last.description if last else None,
        last_bound_at=_moment(last) if last else None,
        default_name=default,
        default_rows=None if not rest or None in rest else sum(filter(None, rest)),
    )


def _takes_everything(row: PartitionRow) -> bool:
    """Return whether a partition takes the rows for which there is no other."""
    words = [word.strip() for word in (row.description or "").upper().split(",")]
    return bool(words) and words[0] in _EVERYTHING


def _moment(row: PartitionRow) -> datetime | None:
    """Return the bound of a partition as a moment, in UTC as the server's zone is not asked.

    None if it is none, or if it is computed in a way that is not known here.
    """
    bound = row.description or ""
    try:
        if not bound.lstrip("-").isdigit():
            if "," in bound or row.method not in ("RANGE COLUMNS", "SYSTEM_TIME"):
                return None
            moment = datetime.fromisoformat(bound.strip("'"))
            return moment.replace(tzinfo=UTC)
        call = _CALL.fullmatch((row.expression or "").strip())
        return _from_number(call[1].upper(), int(bound)) if call else None
    except (ValueError, OverflowError):
        return None


def _from_number(function: str, bound: int) -> datetime | None:
    if function == "UNIX_TIMESTAMP":
        return datetime.fromtimestamp(bound, UTC)
    if function == "YEAR":
        return datetime(bound, 1, 1, tzinfo=UTC)
    if function == "TO_SECONDS":
        days, seconds = divmod(bound, 86400)
        return _day(days) + timedelta(seconds=seconds)
    return _day(bound) if function == "TO_DAYS" else None


def _day(days: int) -> datetime:
    day = date.fromordinal(days - _DAYS_BEFORE_YEAR_1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
