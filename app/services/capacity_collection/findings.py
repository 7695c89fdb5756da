"""What the read of one database means for the ledger, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind, ScopeStatus
from app.repositories.relations import KnownRelation
from app.repositories.remote.facts import ReadError
from app.repositories.remote.sizes import PartitioningFact, SizeOfRelation
from app.repositories.size_samples import DatabaseSample
from app.repositories.unsized_objects import Unsized
from app.services.capacity_collection.reading import DatabaseReading
from app.services.capacity_collection.samples import Totals, dated, rolled_up, totals, why_unsized


@dataclass
class Finding:
    """One database: its relations as they are to be written, its sums, and what is unknown."""

    reading: DatabaseReading
    collected_at: datetime
    ids: dict[str, int] = field(default_factory=dict)
    """Of every relation that was listed, by its engine key."""

    @property
    def database_id(self) -> int:
        """Whose it is."""
        return self.reading.database_id

    @property
    def whole(self) -> bool:
        """Whether every relation was listed, so that another one is gone."""
        return self.reading.sizes is not None and not self.reading.sizes.missing

    @cached_property
    def relations(self) -> list[SizeOfRelation]:
        """Every relation that was listed, dated, and rolled up to its parent."""
        sizes = self.reading.sizes
        if sizes is None:
            return []
        return rolled_up(dated(sizes.relations, self.reading.known.sizes, self.collected_at))

    @cached_property
    def totals(self) -> Totals | None:
        """Sums over the relations; None if they could not be listed."""
        if self.reading.sizes is None:
            return None
        return totals(self.relations, self.collected_at)

    @cached_property
    def total_bytes(self) -> int | None:
        """The database's size: as one of the scopes says it, or the sum of all its relations."""
        sizes, whole = self.reading.sizes, self.reading.whole
        if sizes is not None and sizes.total_bytes is not None:
            return sizes.total_bytes
        if whole.total_bytes is not None:
            return whole.total_bytes
        return self.totals.total_bytes if self.totals is not None and self.whole else None

    @property
    def sample(self) -> DatabaseSample | None:
        """The database's row; None if its size is unknown."""
        if self.total_bytes is None:
            return None
        sums, sizes = self.totals, self.reading.sizes
        if sums is None or sizes is None:
            nothing = (None,) * 9
            return DatabaseSample(self.database_id, self.total_bytes, *nothing)
        return DatabaseSample(
            self.database_id,
            self.total_bytes,
            sums.data_bytes if self.whole else None,
            sums.index_bytes if self.whole else None,
            sums.free_bytes if self.whole else None,
            sums.allocated_bytes if self.whole else None,
            sizes.error_bytes if self.whole else None,
            len(self.relations) if self.whole else None,
            sums.exact,
            sums.estimated,
            sums.unsized,
        )

    @cached_property
    def unsized(self) -> list[Unsized]:
        """Everything of it that has no size, the database itself first; needs ``ids``."""
        name, database_id = self.reading.name, self.database_id
        unknown: list[Unsized] = []
        if self.total_bytes is None:
            unknown.append(Unsized("database", name, self._why_no_total, database_id))
        if self.reading.error is not None and not self.reading.expected:
            unknown.append(Unsized("relations", name, self.reading.error, database_id))
        if self.reading.sizes is not None and self.reading.sizes.missing:
            why_not_all = joined(self.reading.sizes.missing)
            unknown.append(Unsized("relations", name, why_not_all, database_id))
        why = why_unsized(self.relations)
        unknown += [
            Unsized(r.kind, _label(r), why[r.key], database_id, self.ids[r.key])
            for r in self.relations
            if r.key in why
        ]
        return unknown

    @property
    def status(self) -> ScopeStatus:
        """How far the database was seen; one without a size is not seen fully."""
        if self.reading.status is ScopeStatus.FULL and self.unsized:
            return ScopeStatus.PARTIAL
        return self.reading.status

    @property
    def trouble(self) -> ReadError | None:
        """Why it was not seen fully, for people; None if it was."""
        if self.reading.error is not None:
            return self.reading.error
        if not self.unsized:
            return None
        first = self.unsized[0]
        of_relations = [one for one in self.unsized if one.relation_id is not None]
        if first.relation_id is None:
            return first.why
        count = f"{len(of_relations):,} of {len(self.relations):,} relations have"
        return ReadError(
            first.why.kind,
            f"{count} no size, first {first.name}: {first.why.message}",
            first.why.remedy,
        )

    @property
    def sized_ids(self) -> list[int]:
        """The relations that have a size."""
        return [self.ids[r.key] for r in self.relations if r.total_bytes is not None]

    @property
    def _why_no_total(self) -> ReadError:
        if self.reading.whole.unsized is not None:
            return self.reading.whole.unsized
        if self.reading.error is not None:
            return self.reading.error
        sizes = self.reading.sizes
        if sizes is not None and sizes.missing:
            return sizes.missing[0]
        unsized = next(iter(why_unsized(self.relations).values()), None)
        return ReadError(
            FailureKind.PART_UNKNOWN,
            "a part of it has no size" + (f": {unsized.message}" if unsized else ""),
            unsized.remedy if unsized else None,
        )


@dataclass
class RelationChanges:
    """What has to be written about the relations of a few databases."""

    new: list[tuple[int, KnownRelation]] = field(default_factory=list)
    """Each with the id of its database."""
    changed: list[KnownRelation] = field(default_factory=list)
    gone_ids: list[int] = field(default_factory=list)
    partitioned: list[tuple[int, PartitioningFact]] = field(default_factory=list)
    no_longer_partitioned_ids: list[int] = field(default_factory=list)


def identify(findings: Sequence[Finding], new_ids: Callable[[int], list[int]]) -> RelationChanges:
    """Give every relation its id, and return what changed against what the ledger knew.

    Args:
        findings: Of databases whose relations were listed; their ``ids`` are filled in.
        new_ids: Returns so many ids that nobody has.

    """
    changes = RelationChanges()
    unknown = [
        (one, relation.key)
        for one in findings
        for relation in one.relations
        if relation.key not in one.reading.known.relations
    ]
    fresh = new_ids(len(unknown)) if unknown else []
    for one in findings:
        one.ids = {key: known.id for key, known in one.reading.known.relations.items()}
    for (one, key), relation_id in zip(unknown, fresh, strict=True):
        one.ids[key] = relation_id
    for one in findings:
        _compare(one, changes)
    return changes


def joined(errors: Sequence[ReadError]) -> ReadError:
    """Return several reasons as one."""
    remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
    messages = list(dict.fromkeys(error.message for error in errors))
    more = f"; and {len(messages) - 5} more" if len(messages) > 5 else ""
    return ReadError(errors[0].kind, "; ".join(messages[:5]) + more, "\n".join(remedies) or None)


def _compare(one: Finding, changes: RelationChanges) -> None:
    known = one.reading.known.relations
    for relation in one.relations:
        parent_id = one.ids.get(relation.parent_key) if relation.parent_key else None
        before = known.get(relation.key)
        if before is not None and not before.differs_from(relation, parent_id):
            continue
        row = KnownRelation(
            one.ids[relation.key],
            relation.key,
            relation.schema,
            relation.name,
            relation.kind,
            parent_id,
        )
        if before is None:
            changes.new.append((one.database_id, row))
        else:
            changes.changed.append(row)
    sizes = one.reading.sizes
    assert sizes is not None  # noqa: S101 - only listed databases come here
    standing = {one.ids[fact.key]: fact for fact in sizes.partitioned if fact.key in one.ids}
    changes.partitioned += standing.items()
    if not one.whole:
        return
    listed = {relation.key for relation in one.relations}
    for key, before in known.items():
        if key not in listed:
            changes.gone_ids.append(before.id)
        elif before.kind == RelationKind.PARTITIONED and before.id not in standing:
            changes.no_longer_partitioned_ids.append(before.id)


def _label(relation: SizeOfRelation) -> str:
    return f"{relation.schema}.{relation.name}" if relation.schema else relation.name
