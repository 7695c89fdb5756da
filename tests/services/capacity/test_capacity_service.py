"""The biggest are found without looking into every database, and never one too few."""

from __future__ import annotations

import random
from typing import Any

import pytest
from psycopg import Connection

from app.constants.capacity import Scope
from app.repositories import capacity_views
from app.services.capacity import capacity_service as module
from app.services.capacity.answers import Certainty
from app.services.capacity.capacity_service import capacity_service
from app.utils.refusal import NotFound, Refused
from tests.services.capacity_collection.conftest import Collected, database, made_up, relation

__all__ = ["made_up"]


def test_the_biggest_relations_are_those_of_a_look_into_every_database(
    made_up: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DATABASES_AT_ONCE", 3)
    draw = random.Random(7)  # noqa: S311 - made-up sizes
    sizes = {f"d{n}": [draw.randrange(1, 10**6) for _ in range(8)] for n in range(20)}
    listed = [
        database(name, None if name == "d3" else sum(inside)) for name, inside in sizes.items()
    ]
    ledger = made_up.begin()
    made_up.server(ledger, listed)
    made_up.write(
        ledger,
        *(
            made_up.read(
                ledger, one, [relation(str(size), size) for size in sizes[one.database.name]]
            )
            for one in listed
        ),
    )
    made_up.end(ledger)
    everything = sorted((size for inside in sizes.values() for size in inside), reverse=True)
    for limit in (1, 5, 40, 160, 500):
        found = capacity_service.top(Scope.RELATION, limit=limit)
        assert [row.total_bytes for row in found.rows] == everything[:limit]


def test_no_more_databases_are_looked_into_than_could_hold_one_of_the_biggest(
    made_up: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DATABASES_AT_ONCE", 1)
    looked_into: list[list[int]] = []
    ask = capacity_views.largest_relations

    def watched(connection: Connection[Any], ids: list[int], limit: int) -> list[Any]:
        looked_into.append(ids)
        return ask(connection, ids, limit)

    monkeypatch.setattr(capacity_views, "largest_relations", watched)
    listed = [database("big", 1000), *(database(f"small {n}", 10) for n in range(5))]
    ledger = made_up.begin()
    made_up.server(ledger, listed)
    made_up.write(
        ledger, *(made_up.read(ledger, one, [relation("t", one.total_bytes)]) for one in listed)
    )
    made_up.end(ledger)
    (row,) = capacity_service.top(Scope.RELATION, limit=1).rows
    assert (row.database, row.total_bytes, row.share) == ("big", 1000, 1.0)
    assert len(looked_into) == 1


def test_an_older_size_is_shown_as_what_it_is(made_up: Collected) -> None:
    first = made_up.collect([relation("a", 1), relation("b", 2, exact_at=None)])
    made_up.begin()
    (row,) = capacity_service.top(Scope.DATABASE).rows
    assert (row.stale, row.as_of) == (True, first.collected_at)
    rows = {r.name: r for r in capacity_service.top(Scope.RELATION).rows}
    assert rows["public.a"].certainty is Certainty.MEASURED
    assert (rows["public.b"].certainty, rows["public.b"].exact_at) == (Certainty.ESTIMATED, None)
    assert all(one.stale for one in rows.values())
    detail = capacity_service.show_instance("made-up")
    assert (detail.stale, detail.total_bytes) == (True, 10_000_000)


def test_a_name_that_several_relations_have_needs_its_schema(made_up: Collected) -> None:
    made_up.collect([relation("1", 5, name="t"), relation("2", 7, name="t", schema="other")])
    with pytest.raises(Refused, match=r"other\.t, public\.t"):
        capacity_service.show_relation("made-up", "orders", "t")
    found = capacity_service.show_relation("made-up", "orders", "other.t")
    assert found.relation.total_bytes == 7
    with pytest.raises(NotFound, match="no relation named x"):
        capacity_service.show_relation("made-up", "orders", "x")
