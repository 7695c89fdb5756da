"""What a collection writes: true to the byte, an unknown never zero, nothing deleted."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from app.constants.capacity import RelationKind, StorageKind
from app.constants.reading import FailureKind
from app.models import RelationSize, db
from app.repositories import size_samples
from app.repositories.remote.facts import ReadError
from app.repositories.remote.sizes import PartitioningFact, SizeOfRelation, SizeOfStorage
from app.utils.periods import day_of
from tests.services.capacity_collection.conftest import (
    ZONE,
    Collected,
    ask,
    connection,
    database,
    relation,
)

LOCKED = ReadError(FailureKind.LOCKED, "somebody holds it", "look into pg_locks")
DENIED = ReadError(FailureKind.DENIED, "permission denied", "GRANT CONNECT …")
SIZES = (
    "SELECT r.name, s.* FROM relation_sizes AS s JOIN relations AS r ON r.id = s.relation_id"
    " WHERE s.collected_at = (SELECT max(collected_at) FROM capacity_collections) ORDER BY r.name"
)


def test_every_column_of_a_relation_arrives_to_the_byte(made_up: Collected) -> None:
    draw = random.Random(3)  # noqa: S311 - made-up sizes
    names = ["plain", "tab\tbed", "back\\slash", "new\nline", "ünï", "\\N", "a" * 63]

    def one(number: int, name: str) -> SizeOfRelation:
        def size() -> int | None:
            return draw.choice([None, 0, draw.randrange(2**62)])

        estimate = number % 5 == 0
        return SizeOfRelation(
            key=str(number),
            schema=draw.choice([None, "public", "we\tird"]),
            name=f"{name}{number}",
            kind=draw.choice([RelationKind.TABLE, RelationKind.SEQUENCE]),
            total_bytes=draw.randrange(2**62),
            data_bytes=size(),
            toast_bytes=size(),
            index_bytes=size(),
            free_bytes=size(),
            allocated_bytes=size(),
            row_estimate=size(),
            change_mark=draw.choice([None, -(2**62), 2**62]),
            exact_at=None if estimate else datetime.now(UTC),
        )

    read = [one(number, name) for number, name in enumerate(names * 40)]
    ledger = made_up.collect(read)
    rows = ask(SIZES.replace("s.*", "r.engine_key, r.schema_name, r.kind, r.first_seen_at, s.*"))
    assert len(rows) == len(read)
    columns = [
        name
        for name in RelationSize.__table__.columns.keys()  # noqa: SIM118 - no dictionary
        if name not in ("collected_at", "database_id", "relation_id", "exact_at")
    ]
    found = {row.engine_key: row for row in rows}
    for sent in read:
        row = found[sent.key]
        assert (row.schema_name, row.name, row.kind) == (sent.schema, sent.name, sent.kind)
        assert [getattr(row, c) for c in columns] == [getattr(sent, c) for c in columns]
        assert row.exact_at == (ledger.collected_at if sent.exact_at else None)
        assert row.first_seen_at == ledger.collected_at


def test_what_is_unchanged_keeps_the_moment_at_which_it_was_measured(made_up: Collected) -> None:
    first = made_up.collect([relation("a", 1, change_mark=7), relation("b", 2)])
    ledger = made_up.begin()
    made_up.server(ledger)
    reading = made_up.read(ledger, database("orders"), [])
    known = reading.known.sizes
    assert (known["a"].total_bytes, known["a"].change_mark) == (1, 7)
    carried = relation("a", 1, exact_at=known["a"].exact_at, change_mark=7)
    measured, guessed = relation("b", 3), relation("c", 4, exact_at=None)
    made_up.write(ledger, made_up.read(ledger, database("orders"), [carried, measured, guessed]))
    made_up.end(ledger)
    assert {row.name: row.exact_at for row in ask(SIZES)} == {
        "a": first.collected_at,
        "b": ledger.collected_at,
        "c": None,
    }
    assert (ledger.written.carried, ledger.written.measured, ledger.written.estimated) == (1, 1, 1)
    (row,) = ask("SELECT * FROM database_sizes WHERE collected_at = %s", ledger.collected_at)
    assert (row.relation_count, row.exact_relations, row.estimated_relations) == (3, 2, 1)


def test_a_renamed_relation_is_the_same_and_one_created_again_is_another(
    made_up: Collected,
) -> None:
    made_up.collect([relation("1", name="orders"), relation("2", name="items")])
    made_up.collect([relation("1", name="purchases"), relation("3", name="items")])
    rows = ask("SELECT engine_key, name, closed_at IS NULL AS open FROM relations ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("1", "purchases", True),
        ("2", "items", False),
        ("3", "items", True),
    ]
    assert len(ask("SELECT 1 FROM relation_sizes")) == 4


def test_only_a_whole_list_closes_what_is_not_in_it(made_up: Collected) -> None:
    made_up.collect([relation("1"), relation("2")])
    made_up.collect([relation("1")], missing=(LOCKED,))
    assert not ask("SELECT 1 FROM relations WHERE closed_at IS NOT NULL")
    (row,) = ask("SELECT relation_count FROM database_sizes ORDER BY collected_at DESC LIMIT 1")
    assert row.relation_count is None
    ledger = made_up.collect([relation("1")])
    (gone,) = ask("SELECT engine_key, closed_at FROM relations WHERE closed_at IS NOT NULL")
    assert (gone.engine_key, gone.closed_at) == ("2", ledger.collected_at)


def test_an_unsized_relation_has_no_row_and_is_listed_since_it_began(made_up: Collected) -> None:
    made_up.collect([relation("1"), relation("2")])
    first = made_up.collect([relation("1"), relation("2", None, unsized=LOCKED)])
    made_up.collect([relation("1"), relation("2", None, unsized=DENIED, name="renamed")])
    assert [row.name for row in ask(SIZES)] == ["1"]
    (row,) = ask("SELECT * FROM unsized_objects")
    assert (row.name, row.kind, row.reason_code, row.since) == (
        "public.renamed",
        "table",
        "denied",
        first.collected_at,
    )
    assert row.remedy == "GRANT CONNECT …"
    made_up.collect([relation("1"), relation("2", 5, name="renamed")])
    assert [row.total_bytes for row in ask(SIZES)] == [8192, 5]
    assert ask("SELECT 1 FROM unsized_objects") == []
    assert not ask("SELECT 1 FROM relations WHERE closed_at IS NOT NULL")


def test_what_was_unknown_stays_so_while_the_database_cannot_be_looked_into(
    made_up: Collected,
) -> None:
    first = made_up.collect([relation("1", None, unsized=LOCKED)])
    ledger = made_up.begin()
    made_up.server(ledger)
    made_up.write(ledger, made_up.read(ledger, database("orders"), error=DENIED))
    made_up.end(ledger)
    rows = ask("SELECT kind, since FROM unsized_objects ORDER BY kind")
    assert [tuple(row) for row in rows] == [
        ("relations", ledger.collected_at),
        ("table", first.collected_at),
    ]
    (row,) = ask("SELECT * FROM database_sizes WHERE collected_at = %s", ledger.collected_at)
    assert (row.total_bytes, row.relation_count, row.unsized_relations) == (10_000_000, None, None)
    assert ledger.troubles == ["orders: permission denied"]
    made_up.collect([])
    assert ask("SELECT 1 FROM unsized_objects") == []


def partitioned(*parts: SizeOfRelation) -> list[SizeOfRelation]:
    top = relation("top", 0, kind=RelationKind.PARTITIONED)
    inside = [replace(part, parent_key="top", kind=RelationKind.PARTITION) for part in parts]
    return [*inside, top, relation("other", 5)]


def test_a_partitioned_table_is_the_sum_of_its_partitions_and_counted_once(
    made_up: Collected,
) -> None:
    parts = [
        relation("p1", 100, data_bytes=60, toast_bytes=10, index_bytes=30, row_estimate=4),
        relation("p2", 1, data_bytes=1, row_estimate=1),
    ]
    standing = PartitioningFact("top", "range", 2, "created_at", "p2", default_rows=3)
    made_up.collect(partitioned(*parts), total=None, partitioned=(standing,))
    found = {row.name: row for row in ask(SIZES)}
    top = found["top"]
    assert (top.total_bytes, top.data_bytes, top.toast_bytes, top.index_bytes) == (101, 61, 10, 30)
    assert (top.row_estimate, top.exact_at) == (5, top.collected_at)
    assert ask("SELECT total_bytes FROM database_sizes")[0].total_bytes == 106
    ids = {row.name: row.id for row in ask("SELECT id, name FROM relations")}
    rows = ask("SELECT name, parent_id FROM relations WHERE parent_id IS NOT NULL ORDER BY name")
    assert [tuple(row) for row in rows] == [("p1", ids["top"]), ("p2", ids["top"])]
    (row,) = ask("SELECT * FROM partitioned_relations")
    assert (row.relation_id, row.last_partition, row.default_rows) == (ids["top"], "p2", 3)


def test_an_estimated_partition_makes_its_parent_an_estimate_and_an_unknown_one_unknown(
    made_up: Collected,
) -> None:
    made_up.collect(partitioned(relation("p1", 100), relation("p2", 7, exact_at=None)))
    (top,) = (row for row in ask(SIZES) if row.name == "top")
    assert (top.total_bytes, top.exact_at) == (107, None)
    made_up.collect(
        partitioned(relation("p1", 100), relation("p2", None, unsized=LOCKED)), total=None
    )
    assert [row.name for row in ask(SIZES)] == ["other", "p1"]
    unknown = {row.name: row for row in ask("SELECT * FROM unsized_objects")}
    assert unknown.keys() == {"public.top", "public.p2", "orders"}
    assert unknown["public.top"].reason_code == "part_unknown"
    assert "somebody holds it" in unknown["orders"].reason
    (row,) = ask("SELECT * FROM instance_sizes ORDER BY collected_at DESC LIMIT 1")
    assert (row.total_bytes, row.known_bytes, row.unsized_databases) == (None, 0, 1)


def test_a_table_that_is_no_longer_partitioned_has_no_health_any_more(made_up: Collected) -> None:
    standing = PartitioningFact("top", "range", 1, "created_at")
    made_up.collect(partitioned(relation("p1")), partitioned=(standing,))
    made_up.collect([relation("top"), relation("other", 5)])
    assert ask("SELECT 1 FROM partitioned_relations") == []
    (row,) = ask("SELECT kind FROM relations WHERE engine_key = 'top'")
    assert row.kind == "table"


def test_the_instance_has_a_total_only_if_every_database_has_one(made_up: Collected) -> None:
    listed = [database("a", 1), database("b", 2), database("c", None, unsized=DENIED)]
    ledger = made_up.begin()
    made_up.server(ledger, listed)
    made_up.write(
        ledger,
        made_up.read(ledger, listed[0], [relation("1")]),
        made_up.read(ledger, listed[1], error=LOCKED),
        made_up.read(ledger, listed[2], error=DENIED),
    )
    made_up.end(ledger)
    (row,) = ask("SELECT * FROM instance_sizes")
    assert (row.total_bytes, row.known_bytes) == (None, 3)
    assert (row.database_count, row.unsized_databases) == (3, 1)
    ledger = made_up.begin()
    made_up.server(ledger, listed[:2])
    made_up.write(ledger, *(made_up.read(ledger, one, []) for one in listed[:2]))
    made_up.end(ledger)
    (row,) = ask("SELECT * FROM instance_sizes ORDER BY collected_at DESC LIMIT 1")
    assert (row.total_bytes, row.database_count, row.unsized_databases) == (3, 2, 0)
    (gone,) = ask("SELECT name, closed_at FROM databases WHERE closed_at IS NOT NULL")
    assert (gone.name, gone.closed_at) == ("c", ledger.collected_at)
    assert ask("SELECT 1 FROM unsized_objects") == []


def test_a_list_that_is_not_whole_closes_no_database_and_has_no_total(made_up: Collected) -> None:
    made_up.collect([relation("1")])
    ledger = made_up.begin()
    made_up.server(ledger, [], missing=[DENIED])
    made_up.end(ledger, whole=False)
    assert not ask("SELECT 1 FROM databases WHERE closed_at IS NOT NULL")
    (row,) = ask("SELECT * FROM instance_sizes ORDER BY collected_at DESC LIMIT 1")
    assert (row.total_bytes, row.known_bytes, row.database_count) == (None, 0, 0)
    (unknown,) = ask("SELECT kind, name FROM unsized_objects")
    assert tuple(unknown) == ("instance", "made-up")


def test_storages_are_known_by_their_key_and_closed_when_gone(made_up: Collected) -> None:
    fast = SizeOfStorage(StorageKind.TABLESPACE, "1", "fast", 10, None, 100)
    volume = SizeOfStorage(StorageKind.VOLUME, "/data", "/data", 5, 95, 100)
    blocked = SizeOfStorage(StorageKind.TABLESPACE, "2", "blocked", None, unsized=DENIED)
    for listed in ([fast, volume, blocked], [replace(fast, name="faster"), blocked]):
        ledger = made_up.begin()
        made_up.server(ledger, storages=listed)
    rows = ask("SELECT name, closed_at, sized_at FROM storages ORDER BY id")
    assert [(row.name, row.closed_at is None) for row in rows] == [
        ("faster", True),
        ("/data", False),
        ("blocked", True),
    ]
    assert (rows[0].sized_at, rows[2].sized_at) == (ledger.collected_at, None)
    sizes = ask("SELECT used_bytes, free_bytes, limit_bytes FROM storage_sizes ORDER BY 1, 2")
    assert [tuple(row) for row in sizes] == [(5, 95, 100), (10, None, 100), (10, None, 100)]
    (unknown,) = ask("SELECT kind, name FROM unsized_objects")
    assert tuple(unknown) == ("tablespace", "blocked")
    made_up.server(made_up.begin(), storages=[replace(blocked, used_bytes=1, unsized=None)])
    assert ask("SELECT 1 FROM unsized_objects") == []


def test_a_second_attempt_goes_on_at_the_same_moment_and_writes_nothing_twice(
    made_up: Collected,
) -> None:
    listed = [database("a"), database("b", None)]
    storage = SizeOfStorage(StorageKind.TABLESPACE, "1", "fast", 10)
    first = made_up.begin()
    made_up.server(first, listed, [storage])
    made_up.write(
        first,
        made_up.read(first, listed[0], [relation("1"), relation("2", None, unsized=LOCKED)]),
        # without a total there is no row of the database, but there are rows of its relations
        made_up.read(first, listed[1], [relation("3"), relation("4", None, unsized=LOCKED)]),
    )
    second = made_up.begin(item_id=made_up.item_id)
    assert (second.resumed, second.collected_at) == (True, first.collected_at)
    made_up.server(second, listed, [storage])
    last = {i: size_samples.last_sizes(connection(), [i])[i] for i in second.database_ids.values()}
    done = second.take_over(connection(), listed, last)
    assert done == {second.database_ids["a"]}
    assert second.troubles == [
        "a: 1 of 2 relations have no size, first public.2: somebody holds it"
    ]
    made_up.write(second, made_up.read(second, listed[1], [relation("3"), relation("4", 4)]))
    made_up.end(second)
    assert len(ask("SELECT 1 FROM capacity_collections")) == 1
    assert len(ask("SELECT 1 FROM storage_sizes")) == 1
    assert [row.name for row in ask(SIZES)] == ["1", "3", "4"]
    assert len(ask("SELECT 1 FROM relations")) == 4
    assert [
        row.total_bytes for row in ask("SELECT total_bytes FROM database_sizes ORDER BY 1")
    ] == [
        8196,
        10_000_000,
    ]


def test_every_transaction_marks_the_local_day_of_its_samples(made_up: Collected) -> None:
    ledger = made_up.collect([relation("1")])
    marks = {tuple(row) for row in ask("SELECT period, start_on, instance_id FROM dirty_periods")}
    assert marks == {("day", day_of(ledger.collected_at, ZONE), made_up.instance_id)}
    assert len(ask("SELECT 1 FROM dirty_periods")) == 4


def test_a_database_that_was_closed_meanwhile_is_left_alone(made_up: Collected) -> None:
    ledger = made_up.begin()
    made_up.server(ledger)
    reading = made_up.read(ledger, database("orders"), [relation("1")])
    made_up.server(ledger, [])
    made_up.write(ledger, reading)
    assert ask("SELECT 1 FROM relations") == []
    assert ask("SELECT 1 FROM database_sizes") == []


def test_an_instance_that_cannot_be_read_concludes_nothing(made_up: Collected) -> None:
    made_up.collect([relation("1")])
    before = ask("SELECT * FROM relation_sizes"), ask("SELECT * FROM databases")
    since = []
    for _ in range(2):
        ledger = made_up.begin()
        ledger.write_unreadable(connection(), datetime.now(UTC), LOCKED, 1)
        db.session.commit()
        since.append(ledger.collected_at)
    assert (ask("SELECT * FROM relation_sizes"), ask("SELECT * FROM databases")) == before
    assert len(ask("SELECT 1 FROM capacity_collections WHERE ended_at IS NOT NULL")) == 3
    assert len(ask("SELECT 1 FROM instance_sizes")) == 1
    (row,) = ask("SELECT * FROM unsized_objects")
    assert (row.kind, row.name, row.since) == ("instance", "made-up", since[0])
    made_up.collect([relation("1")])
    assert ask("SELECT 1 FROM unsized_objects") == []


def test_many_relations_cost_the_store_no_more_statements_than_few(
    made_up: Collected, tmp_path: Path
) -> None:
    """Counted on the wire, where everything is new and where everything changed."""

    def statements_of(count: int) -> list[int]:
        found = []
        for size in (1, 2):
            relations = [relation(str(n), size, name=f"{size}-{n}") for n in range(count)]
            relations += [
                relation(f"locked {size}-{n}", None, unsized=LOCKED) for n in range(count // 10)
            ]
            ledger = made_up.begin()
            made_up.server(ledger)
            before = made_up.read(ledger, database("orders"), relations)
            with (tmp_path / "wire").open("w+") as wire:
                connection().pgconn.trace(wire.fileno())
                made_up.read(ledger, database("orders"), relations)
                ledger.write_databases(connection(), ledger.collected_at, [before])
                connection().pgconn.untrace()
                wire.seek(0)
                found.append(len(re.findall(r"\tF\t\d+\t(?:Query|Execute)\t", wire.read())))
            db.session.commit()
        return found

    few, many = statements_of(10), statements_of(1000)
    assert 10 < few[0] < few[1], "the very first collection has nothing to look up"
    assert many == [few[1]] * 2
