"""What a table needs: which partitions to make, which have expired, how long there is room.

Nothing here asks the store; everything follows from what was found in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise

from app.constants.partitions import PartitionPolicy, Step
from app.repositories.partition_catalog import DefaultRows, Partition
from app.repositories.partitions import LATEST, Span, name_of, span_of, spans_ahead

MOST_CREATIONS = 1000
"""Partitions of one table that one management makes; the next one goes on."""
LONGEST_GAP = {Step.DAY: 400, Step.MONTH: 120, Step.YEAR: 50}
"""A hole of more steps is no gap: beyond it lies what a wrong clock has left."""


class Why(StrEnum):
    """Why a partition is made."""

    AHEAD = "ahead"
    ROWS = "rows in the default partition"
    GAP = "gap"


@dataclass(frozen=True)
class Creation:
    """A partition that has to be made."""

    table: str
    name: str
    span: Span
    why: Why
    rows: int
    """Rows of its step in the default partition."""


@dataclass(frozen=True)
class Expiry:
    """A partition that has expired."""

    partition: Partition
    why: str


def creations(
    policy: PartitionPolicy, partitions: Sequence[Partition], rows: DefaultRows, now: datetime
) -> list[Creation]:
    """Return which partitions to make, the most urgent first.

    1. The present one and those ahead.
    2. Those of which the default partition has rows, the newest first.
    3. Those that are missing between others, and are not older than what is kept.

    What others have made by hand covers the time that it covers.
    """
    covered = sorted(part.span for part in partitions if part.span is not None)
    wanted: dict[Span, Why] = {}
    for span in spans_ahead(policy, now):
        wanted.setdefault(span, Why.AHEAD)
    for step in sorted(rows.by_step, reverse=True):
        wanted.setdefault(span_of(policy.step, step), Why.ROWS)
    for span in _gaps(policy, [*covered, *wanted], now):
        wanted.setdefault(span, Why.GAP)
    return [
        Creation(
            policy.table,
            name_of(policy.table, policy.step, piece),
            piece,
            why,
            rows.by_step.get(span.lower, 0),
        )
        for span, why in wanted.items()
        for piece in missing(span, covered)
    ]


def missing(wanted: Span, covered: Sequence[Span]) -> list[Span]:
    """Return the parts of a time that nothing covers; ``covered`` is sorted and has no overlap."""
    pieces = []
    lower = wanted.lower
    first = bisect_right(covered, lower, key=lambda span: span.upper)
    for span in islice(covered, first, None):
        if span.lower >= wanted.upper:
            break
        if span.lower > lower:
            pieces.append(Span(lower, span.lower))
        lower = max(lower, span.upper)
    if lower < wanted.upper:
        pieces.append(Span(lower, wanted.upper))
    return pieces


def expired(
    policy: PartitionPolicy,
    partitions: Sequence[Partition],
    now: datetime,
    *,
    bytes_of: Callable[[Partition], int],
    rows_of: Callable[[Partition], int],
) -> list[Expiry]:
    """Return the partitions beyond the limits, the oldest first; never the present one.

    Limits by rows and by bytes take the oldest until what is left is within them. Each partition is
    counted only as long as the limit is not reached: those before it go whatever they hold.
    """
    ranged = [part for part in partitions if part.span is not None]
    found: dict[str, Expiry] = {}
    past = [part for part in ranged if part.span is not None and part.span.upper <= now]
    if policy.keep_days is not None:
        keep_from = now - timedelta(days=policy.keep_days)
        for part in past:
            if part.span is not None and part.span.upper <= keep_from:
                found[part.name] = Expiry(part, f"older than {policy.keep_days} days")
    limits = (
        (policy.keep_rows, rows_of, "rows"),
        (policy.keep_bytes, bytes_of, "bytes"),
    )
    for limit, measure, word in limits:
        if limit is None:
            continue
        total = 0
        for part in reversed(ranged):
            if total <= limit:
                total += measure(part)
            if total > limit and part in past:
                found.setdefault(part.name, Expiry(part, f"more than {limit:,} {word}"))
    return [found[part.name] for part in past if part.name in found]


def runway_days(partitions: Sequence[Partition], now: datetime) -> int:
    """Return for how many whole days from now on there is a partition for every new row."""
    until = now
    for span in sorted(part.span for part in partitions if part.span is not None):
        if span.lower <= until < span.upper:
            until = span.upper
    return (min(until, LATEST) - now).days


def _gaps(policy: PartitionPolicy, spans: Sequence[Span], now: datetime) -> list[Span]:
    """Return the steps between the oldest time and now of which nothing is there, newest first."""
    gaps = []
    keep_from = now - timedelta(days=policy.keep_days) if policy.keep_days is not None else None
    ordered = sorted(spans)
    upper_so_far = ordered[0].upper if ordered else now
    for before, after in pairwise(ordered):
        upper_so_far = max(upper_so_far, before.upper)
        if after.lower > now:
            break
        hole: list[Span] = []
        step = span_of(policy.step, upper_so_far)
        while step.lower < after.lower and len(hole) <= LONGEST_GAP[policy.step]:
            hole.append(step)
            step = span_of(policy.step, step.upper)
        if len(hole) <= LONGEST_GAP[policy.step]:
            gaps += hole
    return [gap for gap in reversed(gaps) if keep_from is None or gap.upper > keep_from]
