from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.constants.partitions import POLICIES, PartitionPolicy
from app.repositories.partition_catalog import DefaultRows, Partition
from app.repositories.partitions import Span, span_of
from app.services.partition_management.planning import (
    LONGEST_GAP,
    creations,
    expired,
    missing,
    runway_days,
)

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
NO_ROWS = DefaultRows({}, 0)


def at(hours: int) -> datetime:
    return ZERO + timedelta(hours=hours)


@st.composite
def covered_times(draw: st.DrawFn) -> list[Span]:
    edges = sorted(draw(st.sets(st.integers(-2000, 2000), max_size=16)))
    pairs = list(pairwise(edges))
    kept = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    return [Span(at(a), at(b)) for (a, b), keep in zip(pairs, kept, strict=True) if keep]


def parts(table: str, spans: list[Span]) -> list[Partition]:
    return [Partition(table, f"p{n}", f"p{n}", span, 0, 0) for n, span in enumerate(spans)]


@given(covered_times(), st.integers(-2100, 2100), st.integers(1, 900))
def test_what_is_missing_and_what_is_covered_make_up_the_whole_and_never_overlap(
    covered: list[Span], first: int, hours: int
) -> None:
    wanted = Span(at(first), at(first + hours))
    pieces = missing(wanted, covered)
    for hour in range(first, first + hours):
        moment = at(hour)
        inside = sum(moment in piece for piece in pieces) + sum(moment in c for c in covered)
        assert inside == 1
    assert all(wanted.lower <= piece.lower < piece.upper <= wanted.upper for piece in pieces)


tables = st.sampled_from(list(POLICIES.values()))


@given(tables, covered_times(), st.integers(-2000, 2000), st.sets(st.integers(-9000, 9000)))
def test_once_all_is_made_there_is_room_ahead_nothing_is_missing_and_nothing_overlaps(
    policy: PartitionPolicy, covered: list[Span], hour: int, row_hours: set[int]
) -> None:
    now = at(hour)
    steps = {span_of(policy.step, at(h)).lower: 1 for h in row_hours}
    uncovered = {step: 1 for step in steps if missing(span_of(policy.step, step), covered)}
    made = creations(policy, parts(policy.table, covered), DefaultRows(uncovered, 0), now)
    spans = sorted([*covered, *(creation.span for creation in made)])
    assert all(before.upper <= after.lower for before, after in pairwise(spans))
    assert len({creation.name for creation in made}) == len(made)
    after = parts(policy.table, spans)
    ahead = span_of(policy.step, now).upper
    for _ in range(policy.ahead):
        ahead = span_of(policy.step, ahead).upper
    assert runway_days(after, now) >= (ahead - now).days
    for step in uncovered:
        assert missing(span_of(policy.step, step), spans) == []
    assert creations(policy, after, NO_ROWS, now) == []


def test_a_hole_that_is_too_long_is_no_gap() -> None:
    policy = replace(POLICIES["log_entries_error"], keep_days=None)
    for days, filled in ((LONGEST_GAP[policy.step], True), (LONGEST_GAP[policy.step] + 1, False)):
        stray = ZERO - timedelta(days=days + 1)
        there = parts(policy.table, [span_of(policy.step, stray)])
        made = creations(policy, there, NO_ROWS, ZERO)
        assert len([one for one in made if one.why == "gap"]) == (days if filled else 0)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=12),
    st.one_of(st.none(), st.integers(0, 14)),
    st.one_of(st.none(), st.integers(0, 200)),
    st.one_of(st.none(), st.integers(0, 200)),
)
def test_limits_take_the_oldest_and_no_more_than_they_have_to(
    sizes: list[int], days: int | None, rows: int | None, size: int | None
) -> None:
    policy = replace(POLICIES["log_entries_info"], keep_days=days, keep_rows=rows, keep_bytes=size)
    now = ZERO + timedelta(hours=1)
    first = len(sizes) - 1
    spans = [span_of(policy.step, ZERO - timedelta(days=first - n)) for n in range(len(sizes))]
    there = parts(policy.table, spans)
    of = {part.name: number for part, number in zip(there, sizes, strict=True)}
    gone = [
        one.partition
        for one in expired(
            policy,
            there,
            now,
            bytes_of=lambda part: of[part.name],
            rows_of=lambda part: of[part.name],
        )
    ]
    assert gone == there[: len(gone)]
    kept = there[len(gone) :]
    assert there[-1] in kept
    total = sum(of[part.name] for part in kept)
    for limit in (rows, size):
        assert limit is None or total <= limit or kept == there[-1:]
    assert all(
        days is None or part.span.upper > now - timedelta(days=days)
        for part in kept[:-1]
        if part.span
    )
    if gone:
        last = gone[-1]
        assert last.span is not None
        with_it = total + of[last.name]
        too_old = days is not None and last.span.upper <= now - timedelta(days=days)
        assert too_old or any(limit is not None and with_it > limit for limit in (rows, size))


@given(covered_times(), st.integers(-2000, 2000))
def test_the_runway_ends_at_the_first_moment_that_nothing_covers(
    covered: list[Span], hour: int
) -> None:
    now = at(hour)
    end = hour
    while any(at(end) in span for span in covered):
        end += 1
    assert runway_days(parts("x", covered), now) == (end - hour) // 24
