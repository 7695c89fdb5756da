"""``whalefall capacity``: how big everything is, and what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli.options import words_of
from app.cli.output import count, say, size_text, when, write, write_json, write_table
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows
from app.constants.capacity import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from app.cli.tables import Cell
    from app.services.capacity.answers import (
        DatabaseDetail,
        DatabaseRow,
        InstanceDetail,
        PartitioningRow,
        RelationDetail,
        RelationRow,
        TopRow,
        UnsizedList,
    )

EMPTY = "Nothing has a size yet. The ledger is filled by: whalefall run capacity --wait"


@click.group(
    cls=Group,
    examples=[
        "whalefall capacity top",
        "whalefall capacity top --by relation --instance orders",
        "whalefall capacity show orders shop",
        "whalefall capacity unsized",
    ],
)
def capacity() -> None:
    """How big everything is, how it grows, and when it is full.

    The answers come from the ledger, as of the last collection: whalefall run capacity --wait
    """


@capacity.command(
    examples=[
        "whalefall capacity top",
        "whalefall capacity top --by relation --limit 50",
        "whalefall capacity top --by storage --instance orders",
        "whalefall capacity top --by instance --json",
    ]
)
@click.option(
    "--by", type=words_of(Scope), default="database", show_default=True, help="What to list."
)
@click.option("--instance", help="Only this server.")
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=10_000),
    default=20,
    show_default=True,
    help="How many.",
)
@shows
def top(by: str, instance: str | None, limit: int, as_json: bool, wide: bool) -> None:
    """List what is the biggest.

    A relation stands for its partitions. The share is that of all that is listed; a relation's
    that of its database, a storage's how full it is.
    """
    with opened():
        from app.services.capacity.capacity_service import capacity_service

        found = capacity_service.top(Scope(by), instance=instance, limit=limit)
        shown_zone = zone()
    if as_json:
        write_json({"by": by, "rows": found.rows, "unsized_count": found.unsized_count})
        return
    write_top(found.rows, Scope(by), shown_zone, wide=wide)
    if found.unsized_count:
        say(
            f"{count(found.unsized_count, 'object')} without a size may be bigger: "
            "whalefall capacity unsized",
            style="yellow",
        )


@capacity.command(
    examples=[
        "whalefall capacity show orders",
        "whalefall capacity show orders shop",
        "whalefall capacity show orders shop public.items",
        "whalefall capacity show orders shop --json",
    ]
)
@click.argument("instance")
@click.argument("database", required=False)
@click.argument("relation", required=False)
@shows
def show(
    instance: str, database: str | None, relation: str | None, as_json: bool, wide: bool
) -> None:
    """Show how big INSTANCE is, or one DATABASE or RELATION of it.

    With what is data, index, free; and how exact it is, of when, and what is unknown.
    """
    with opened():
        from app.services.capacity.capacity_service import capacity_service

        shown_zone = zone()
        detail: InstanceDetail | DatabaseDetail | RelationDetail
        if database is None:
            detail = capacity_service.show_instance(instance)
        elif relation is None:
            detail = capacity_service.show_database(instance, database)
        else:
            detail = capacity_service.show_relation(instance, database, relation)
    if as_json:
        write_json(detail)
        return
    from app.services.capacity.answers import DatabaseDetail, InstanceDetail

    if isinstance(detail, InstanceDetail):
        _write_instance(detail, shown_zone, wide=wide)
    elif isinstance(detail, DatabaseDetail):
        _write_database(detail, shown_zone, wide=wide)
    else:
        _write_relation(detail, shown_zone, wide=wide)


@capacity.command(
    examples=["whalefall capacity unsized", "whalefall capacity unsized --instance orders --json"]
)
@click.option("--instance", help="Only this server.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0: all.")
@shows
def unsized(instance: str | None, limit: int, as_json: bool, wide: bool) -> None:
    """List what could not be sized, why, and what to do.

    Nothing here counts as zero or as gone: its size is unknown, and so is every sum that it is
    part of.
    """
    with opened():
        from app.services.capacity.capacity_service import capacity_service

        found = capacity_service.unsized(instance=instance, limit=limit or None)
        shown_zone = zone()
    if as_json:
        write_json({"unsized": found.rows, "more": found.more})
        return
    _write_unsized(found, shown_zone, wide=wide)
    if not found.rows:
        say("Nothing is unknown, as of the last collections: whalefall capacity top")
    if found.more:
        say("There are more: --limit 0 for all.")


def write_top(rows: Sequence[TopRow], by: Scope, shown_zone: ZoneInfo, *, wide: bool) -> None:
    """Write the biggest as a table."""
    from app.cli.tables import Column

    before = {
        Scope.INSTANCE: [Column("INSTANCE", key=True)],
        Scope.DATABASE: [Column("DATABASE", key=True), Column("INSTANCE", key=True)],
        Scope.RELATION: [
            Column("RELATION", key=True),
            Column("DATABASE", least=12),
            Column("INSTANCE", least=10),
        ],
        Scope.STORAGE: [Column("STORAGE", key=True), Column("INSTANCE", key=True)],
    }[by]
    after = {
        Scope.RELATION: [Column("KIND", optional=True, least=10)],
        Scope.STORAGE: [
            Column("OF AT MOST", right=True, optional=True, least=10),
            Column("KIND", optional=True, least=10),
        ],
    }.get(by, [])
    write_table(
        [
            *before,
            Column("SIZE", right=True, least=9),
            Column("FULL" if by is Scope.STORAGE else "SHARE", right=True, least=6),
            Column("HOW", least=9),
            Column("AS OF", least=16, optional=by is Scope.RELATION),
            *after,
        ],
        [
            [
                *_names(row, by),
                _size_cell(row),
                "–" if row.share is None else f"{row.share:.1%}",
                _how_cell(row),
                when(row.as_of, shown_zone),
                *_rest(row, by),
            ]
            for row in rows
        ],
        wide=wide,
        empty=EMPTY,
    )


def _write_instance(detail: InstanceDetail, shown_zone: ZoneInfo, *, wide: bool) -> None:
    write(
        f"{detail.instance} ({detail.engine} {detail.version or ''})".replace(" )", ")"),
        style="bold",
        wide=wide,
    )
    if detail.as_of is None:
        write("Nothing of it has a size yet.", style="yellow")
    elif detail.total_bytes is not None:
        write(
            f"{size_text(detail.total_bytes)} in {count(detail.database_count or 0, 'database')}, "
            f"as of {when(detail.as_of, shown_zone)}"
        )
    else:
        write(
            f"≥ {size_text(detail.known_bytes or 0)} ({detail.unsized_databases} of "
            f"{count(detail.database_count or 0, 'database')} unknown), "
            f"as of {when(detail.as_of, shown_zone)}",
            style="yellow",
        )
    if detail.stale:
        write(
            f"The collection of {when(detail.last_collected_at, shown_zone)} brought no sizes: "
            f"{detail.unsized_reason or 'it has not ended, or was interrupted'}",
            style="yellow",
            wide=wide,
        )
    if detail.storages:
        write()
        write_top(detail.storages, Scope.STORAGE, shown_zone, wide=wide)
    write()
    _write_databases(detail.databases, shown_zone, wide=wide)
    if detail.largest:
        write()
        write_top(detail.largest, Scope.RELATION, shown_zone, wide=wide)
    _write_unknown(detail.unsized, shown_zone, wide=wide)


def _write_databases(rows: Sequence[DatabaseRow], shown_zone: ZoneInfo, *, wide: bool) -> None:
    from app.cli.tables import Cell, Column

    write_table(
        [
            Column("DATABASE", key=True),
            Column("SIZE", right=True, least=9),
            Column("DATA", right=True, least=9),
            Column("INDEX", right=True, least=9),
            Column("RELATIONS", right=True, least=9),
            Column("AS OF", least=16),
            Column("ESTIMATED", right=True, optional=True, least=9),
            Column("UNSIZED", right=True, optional=True, least=7),
            Column("FREE", right=True, optional=True, least=9),
            Column("± WRONG BY", right=True, optional=True, least=10),
        ],
        [
            [
                row.database,
                Cell("unknown", "yellow") if row.total_bytes is None else _size(row.total_bytes),
                _size(row.data_bytes),
                _size(row.index_bytes),
                _number(row.relation_count),
                Cell(when(row.as_of, shown_zone), "yellow" if row.stale else ""),
                _number(row.estimated_relations),
                _number(row.unsized_relations),
                _size(row.free_bytes),
                _size(row.error_bytes),
            ]
            for row in rows
        ],
        wide=wide,
        empty="No database is known.",
    )


def _write_database(detail: DatabaseDetail, shown_zone: ZoneInfo, *, wide: bool) -> None:
    row = detail.database
    write(f"{row.database} on {detail.instance}", style="bold", wide=wide)
    if row.total_bytes is None:
        write("unknown", style="yellow")
    else:
        stale = ", older than the last collection" if row.stale else ""
        write(f"{size_text(row.total_bytes)}, as of {when(row.as_of, shown_zone)}{stale}")
    _write_split(
        ("data", row.data_bytes),
        ("index", row.index_bytes),
        ("free inside", row.free_bytes),
        ("allocated", row.allocated_bytes),
    )
    if row.relation_count is not None:
        parts = [
            f"{row.exact_relations or 0:,} measured",
            f"{row.estimated_relations or 0:,} estimated",
            f"{row.unsized_relations or 0:,} unknown",
        ]
        write(f"{count(row.relation_count, 'relation')}: {', '.join(parts)}")
    if row.error_bytes:
        write(f"together wrong by {size_text(row.error_bytes)} at most")
    write()
    _write_relations(detail.largest, shown_zone, wide=wide)
    for standing in detail.partitioned:
        write()
        _write_partitioning(standing, shown_zone, wide=wide)
    _write_unknown(detail.unsized, shown_zone, wide=wide)


def _write_relation(detail: RelationDetail, shown_zone: ZoneInfo, *, wide: bool) -> None:
    row = detail.relation
    write(f"{row.name} in {detail.database} on {detail.instance}", style="bold", wide=wide)
    kind = row.kind.replace("_", " ")
    write(f"{kind}, known since {when(detail.first_seen_at, shown_zone)}")
    if row.total_bytes is None:
        write("unknown: whalefall capacity unsized says why", style="yellow")
    else:
        measured = f" {when(row.exact_at, shown_zone)}" if row.exact_at else ""
        write(
            f"{size_text(row.total_bytes)}, as of {when(row.as_of, shown_zone)} "
            f"({row.certainty.value}{measured})"
        )
    _write_split(
        ("data", row.data_bytes),
        ("toast", row.toast_bytes),
        ("index", row.index_bytes),
        ("free inside", row.free_bytes),
        ("allocated", row.allocated_bytes),
    )
    if row.row_estimate is not None:
        write(f"about {count(row.row_estimate, 'row')}")
    if detail.partitioning:
        write()
        _write_partitioning(detail.partitioning, shown_zone, wide=wide)
    if detail.partitions:
        write()
        _write_relations(detail.partitions, shown_zone, wide=wide)


def _write_relations(rows: Sequence[RelationRow], shown_zone: ZoneInfo, *, wide: bool) -> None:
    from app.cli.tables import Cell, Column

    write_table(
        [
            Column("RELATION", key=True),
            Column("SIZE", right=True, least=9),
            Column("DATA", right=True, least=9),
            Column("TOAST", right=True, least=9),
            Column("INDEX", right=True, least=9),
            Column("HOW", least=9),
            Column("MEASURED", least=16, optional=True),
            Column("ROWS", right=True, optional=True),
            Column("FREE", right=True, optional=True),
            Column("ALLOCATED", right=True, optional=True),
            Column("KIND", optional=True, least=10),
        ],
        [
            [
                row.name,
                Cell("unknown", "yellow") if row.total_bytes is None else _size(row.total_bytes),
                _size(row.data_bytes),
                _size(row.toast_bytes),
                _size(row.index_bytes),
                row.certainty.value,
                when(row.exact_at, shown_zone),
                _number(row.row_estimate),
                _size(row.free_bytes),
                _size(row.allocated_bytes),
                row.kind.replace("_", " "),
            ]
            for row in rows
        ],
        wide=wide,
        empty="No relation of it has a size.",
    )


def _write_partitioning(row: PartitioningRow, shown_zone: ZoneInfo, *, wide: bool) -> None:
    key = row.key_definition
    if not key.lower().startswith(row.strategy):
        key = f"{row.strategy} ({key})"
    write(f"{row.name}: {count(row.partition_count, 'partition')} by {key}", wide=wide)
    if row.last_partition:
        until = _until(row.last_bound, row.last_bound_at, shown_zone)
        write(f"the last one is {row.last_partition}{until}", indent=4, wide=wide)
    if row.default_name:
        rows = "an unknown number of rows" if row.default_rows is None else _rows(row.default_rows)
        style = "yellow" if row.default_rows else None
        write(f"{row.default_name} takes the rest: {rows}", indent=4, style=style, wide=wide)


def _write_unknown(found: UnsizedList, shown_zone: ZoneInfo, *, wide: bool) -> None:
    if found.rows:
        write()
        write("Unknown", style="bold")
        _write_unsized(found, shown_zone, wide=wide)
    if found.more:
        say("More is unknown: whalefall capacity unsized --limit 0")


def _write_unsized(found: UnsizedList, shown_zone: ZoneInfo, *, wide: bool) -> None:
    told = None
    for row in found.rows:
        where = f" in {row.database}" if row.database and row.database != row.name else ""
        what = "all relations of" if row.kind == "relations" else row.kind.replace("_", " ")
        write(
            f"{row.instance}: {what} {row.name}{where}, unknown since "
            f"{when(row.since, shown_zone)}",
            style="yellow",
            wide=wide,
        )
        if (row.instance, row.database, row.reason, row.remedy) != told:
            write(row.reason, indent=4, wide=wide)
            if row.remedy:
                write(row.remedy, indent=4, style="bold", wide=wide)
        told = (row.instance, row.database, row.reason, row.remedy)


def _write_split(*parts: tuple[str, int | None]) -> None:
    known = [f"{name} {size_text(value)}" for name, value in parts if value is not None]
    if known:
        write(", ".join(known))


def _names(row: TopRow, by: Scope) -> list[str]:
    if by is Scope.INSTANCE:
        return [row.instance]
    if by is Scope.RELATION:
        return [row.name or "", row.database or "", row.instance]
    return [(row.database if by is Scope.DATABASE else row.name) or "", row.instance]


def _rest(row: TopRow, by: Scope) -> list[str]:
    kind = row.kind.replace("_", " ")
    if by is Scope.STORAGE:
        return ["–" if row.limit_bytes is None else size_text(row.limit_bytes), kind]
    return [kind] if by is Scope.RELATION else []


def _size_cell(row: TopRow) -> Cell:
    from app.cli.tables import Cell

    if row.total_bytes is not None:
        return Cell(size_text(row.total_bytes))
    if row.known_bytes is None:
        return Cell("unknown", "yellow")
    return Cell(f"≥ {size_text(row.known_bytes)} ({row.unsized_parts} unknown)", "yellow")


def _how_cell(row: TopRow) -> Cell:
    from app.cli.tables import Cell

    if row.stale:
        return Cell("not now", "yellow")
    return Cell(row.certainty.value, "yellow" if row.certainty == "estimated" else "")


def _size(value: int | None) -> str:
    return "–" if value is None else size_text(value)


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _rows(number: int) -> str:
    return f"about {count(number, 'row')}"


def _until(bound: str | None, bound_at: datetime | None, shown_zone: ZoneInfo) -> str:
    if bound_at is not None:
        return f", until {when(bound_at, shown_zone)}"
    return f", until {bound}" if bound else ""
