"""What a read of one database becomes in the ledger: sums, counts, and when each was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.sizes import Known, SizeOfRelation


@dataclass(frozen=True)
class Totals:
    """The relations of one database together; a sum of which a part is unknown is None."""

    total_bytes: int | None
    data_bytes: int | None
    index_bytes: int | None
    free_bytes: int | None
    allocated_bytes: int | None
    exact: int
    measured: int
    """Of the exact ones those that were measured at this collection."""
    estimated: int
    unsized: int


def dated(
    relations: Sequence[SizeOfRelation], known: Known, collected_at: datetime
) -> list[SizeOfRelation]:
    """Return the relations with the store's own time for what was measured now.

    What was carried over keeps the moment at which it was measured.
    """
    dated = []
    for relation in relations:
        if relation.exact_at is not None:
            before = known.get(relation.key)
            if before is None or before.exact_at != relation.exact_at:
                relation = replace(relation, exact_at=collected_at)
        dated.append(relation)
    return dated


def rolled_up(relations: Sequence[SizeOfRelation]) -> list[SizeOfRelation]:
    """Return the relations, each topmost partitioned one with the sum of its partitions.

    1. A partition without a size: its parent has none either.
    2. A partition whose size is an estimate: so is its parent's.
    3. Else the parent is as old as its oldest partition.
    """
    parts: dict[str, list[SizeOfRelation]] = defaultdict(list)
    for relation in relations:
        if relation.parent_key is not None and relation.kind is not RelationKind.PARTITIONED:
            parts[relation.parent_key].append(relation)
    return [
        _sum_of(relation, parts[relation.key])
        if relation.kind is RelationKind.PARTITIONED
        and relation.parent_key is None
        and parts.get(relation.key)
        else relation
        for relation in relations
    ]


def totals(relations: Sequence[SizeOfRelation], collected_at: datetime) -> Totals:
    """Return the sums over a whole list of relations, and how they came to be known.

    Partitioned relations only group others, so they are counted and not added.
    """
    sized = [r for r in relations if r.total_bytes is not None]
    exact = [r for r in sized if r.exact_at is not None]
    once = [r for r in relations if r.kind is not RelationKind.PARTITIONED]
    split = [r for r in once if r.kind is not RelationKind.UNATTRIBUTED]
    data = _sum(split, lambda r: r.data_bytes)
    toast = sum(r.toast_bytes or 0 for r in split)
    return Totals(
        total_bytes=_sum(once, lambda r: r.total_bytes),
        data_bytes=None if data is None else data + toast,
        index_bytes=_sum(split, lambda r: r.index_bytes),
        free_bytes=_sum(split, lambda r: r.free_bytes),
        allocated_bytes=_sum(split, lambda r: r.allocated_bytes),
        exact=len(exact),
        measured=sum(r.exact_at == collected_at for r in exact),
        estimated=len(sized) - len(exact),
        unsized=len(relations) - len(sized),
    )


def why_unsized(relations: Sequence[SizeOfRelation]) -> Mapping[str, ReadError]:
    """Return why relations have no size, by key."""
    return {
        relation.key: relation.unsized or ReadError(FailureKind.QUERY, "the server gave no size")
        for relation in relations
        if relation.total_bytes is None
    }


def _sum_of(parent: SizeOfRelation, parts: Sequence[SizeOfRelation]) -> SizeOfRelation:
    unsized = [part for part in parts if part.total_bytes is None]
    if unsized:
        first = unsized[0]
        others = f" and of {len(unsized) - 1} more" if len(unsized) > 1 else ""
        why = f": {first.unsized.message}" if first.unsized else ""
        remedy = first.unsized.remedy if first.unsized else None
        return replace(
            parent,
            total_bytes=None,
            exact_at=None,
            unsized=ReadError(
                FailureKind.PART_UNKNOWN,
                f"the size of its partition {first.name}{others} is unknown{why}",
                remedy,
            ),
        )
    measured = [part.exact_at for part in parts if part.exact_at is not None]
    return replace(
        parent,
        total_bytes=_sum(parts, lambda r: r.total_bytes),
        data_bytes=_sum(parts, lambda r: r.data_bytes),
        toast_bytes=_sum(parts, lambda r: r.toast_bytes),
        index_bytes=_sum(parts, lambda r: r.index_bytes),
        free_bytes=_sum(parts, lambda r: r.free_bytes),
        allocated_bytes=_sum(parts, lambda r: r.allocated_bytes),
        row_estimate=_sum(parts, lambda r: r.row_estimate),
        exact_at=min(measured) if len(measured) == len(parts) else None,
        change_mark=None,
        unsized=None,
    )


def _sum(
    relations: Sequence[SizeOfRelation], of: Callable[[SizeOfRelation], int | None]
) -> int | None:
    total = 0
    for relation in relations:
        value = of(relation)
        if value is None:
            return None
        total += value
    return total
