"""What is not measured: whose turn it is, what can be said instead, and how wrong that may be."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError
from app.repositories.remote.sizes import Known, KnownSize

_BY_WEIGHT, _BY_AGE = 3, 1
"""Of four turns, how many go by weight and how many by age."""


class Listed(NamedTuple):
    """One relation as the catalog knows it, without a look at its files."""

    key: str
    schema: str
    name: str
    kind: str
    persistence: str
    parent_key: str | None
    """The partitioned table that it is directly a part of."""
    data_bytes: int
    toast_bytes: int
    index_bytes: int
    """Their main forks when they were last vacuumed or analyzed (pg_class.relpages): at least so
    much they hold, because whatever makes a file shorter corrects relpages."""
    likely_bytes: int
    """A guess that also counts tuples written since; only fit to say what comes first."""
    told: bool
    """Whether the catalog has an idea of its size at all."""
    row_estimate: int | None
    change_mark: int | None

    @property
    def least_bytes(self) -> int:
        """What it holds at least; a crash empties unlogged ones without correcting relpages."""
        return (
            0 if self.persistence == "u" else self.data_bytes + self.toast_bytes + self.index_bytes
        )


class Guess(NamedTuple):
    """A size that was not measured now."""

    total_bytes: int
    data_bytes: int | None
    toast_bytes: int | None
    index_bytes: int | None
    exact_at: datetime | None
    """When it was measured, if it has not changed since."""
    least_bytes: int


def turns(listed: Sequence[Listed], known: Known) -> list[str]:
    """Return the keys in the order in which to measure them.

    1. By weight: first what nobody can estimate, then what has changed since it was measured (or
       may have), the largest first; last what has not changed, the oldest first.
    2. By age: what was measured longest ago, changed or not; among those never measured a draw
       decides, a new one each time, so that none waits for ever.
    3. Three from the first order, one from the second, and so on, each only once.
    """
    lot = datetime.now(UTC).isoformat().encode()

    def weight(one: Listed) -> tuple[int, float]:
        last = known.get(one.key)
        if last is not None and last.exact_at is not None and unchanged(one, last):
            return 2, last.exact_at.timestamp()
        likely = max(one.likely_bytes, last.total_bytes if last else 0)
        return (0 if last is None and not one.told else 1), -likely

    def age(one: Listed) -> tuple[float, int]:
        last = known.get(one.key)
        since = last.exact_at.timestamp() if last is not None and last.exact_at else 0.0
        return since, zlib.crc32(lot + one.key.encode())

    by_weight = (one.key for one in sorted(listed, key=weight))
    by_age = (one.key for one in sorted(listed, key=age))
    return list(dict.fromkeys(_mixed(by_weight, by_age)))


def _mixed(by_weight: Iterator[str], by_age: Iterator[str]) -> Iterator[str]:
    while some := [*islice(by_weight, _BY_WEIGHT), *islice(by_age, _BY_AGE)]:
        yield from some


def unchanged(one: Listed, last: KnownSize | None) -> bool:
    """Whether the engine has seen no change since it was measured."""
    return (
        last is not None
        and last.exact_at is not None
        and last.change_mark is not None
        and last.change_mark == one.change_mark
    )


def guess(one: Listed, last: KnownSize | None) -> Guess | None:
    """Return what can be said of a relation that was not measured; None if nothing can.

    * The engine saw no change since it was measured: that size, with the time of then.
    * Else what the catalog says (pages when it was last vacuumed or analyzed), or the last size
      that the ledger has, whichever is more: relations grow more often than they shrink.
    * Nothing if it has been written to, has never been vacuumed or analyzed, and is new to us.
    """
    if last is not None and unchanged(one, last):
        return Guess(
            last.total_bytes,
            last.data_bytes,
            last.toast_bytes,
            last.index_bytes,
            last.exact_at,
            last.total_bytes,
        )
    pages = one.data_bytes + one.toast_bytes + one.index_bytes
    least = one.least_bytes
    if last is not None and last.total_bytes >= pages:
        return Guess(
            last.total_bytes, last.data_bytes, last.toast_bytes, last.index_bytes, None, least
        )
    if last is None and not one.told:
        return None
    return Guess(pages, one.data_bytes, one.toast_bytes, one.index_bytes, None, least)


def not_measured(seconds: float) -> ReadError:
    """Return why a relation has neither been measured nor estimated."""
    return ReadError(
        FailureKind.BUDGET,
        f"the {seconds:g} s for its database were over before its turn, and PostgreSQL has no "
        "estimate of it yet; it comes first next time",
        "Allow more: WHALEFALL_CAPACITY_DATABASE_SECONDS, or ANALYZE it.",
    )


def error_bound(total_bytes: int, measured_bytes: int, guesses: Iterable[Guess]) -> int:
    """Return how many bytes the guesses may be wrong by, all their errors added up.

    Let G be the guesses, R what the relations really hold, L what each holds at least (relpages;
    the size itself where nothing has changed), and A = total - measured what is left for them in
    the files of the database. Then ΣR ≤ A, because A also holds files of no relation, relations
    that could not be sized and what grew meanwhile; and

        Σ|G - R| = Σ(R - G) + 2 Σmax(0, G - R) ≤ A - ΣG + 2 Σ(G - L),  as R ≥ L.

    Nothing has to be assumed about how the error is spread over the relations.
    """
    guessed = above = 0
    for one in guesses:
        guessed += one.total_bytes
        above += one.total_bytes - one.least_bytes
    return max(0, total_bytes - measured_bytes - guessed) + 2 * above
