"""``whalefall partitions``: room for new rows in the ledger, and what has expired of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import Exit
from app.cli.output import count, say, size_text, state_cell, when, write, write_json, write_table
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from app.services.partition_management.partition_management_service import TableStatus


@click.group(
    cls=Group,
    examples=[
        "whalefall partitions status",
        "whalefall partitions plan",
        "whalefall partitions apply",
    ],
)
def partitions() -> None:
    """Room for new rows in the ledger, and what expires of it.

    The job partition_management_daily does every night what apply does.
    """


@partitions.command(examples=["whalefall partitions plan", "whalefall partitions plan --json"])
@shows
def plan(as_json: bool, wide: bool) -> None:
    """Show what would be made, moved and dropped, and change nothing."""
    _managed(dry_run=True, as_json=as_json, wide=wide)


@partitions.command(examples=["whalefall partitions apply", "whalefall partitions apply --dry-run"])
@click.option("--dry-run", is_flag=True, help="The same as plan.")
@shows
def apply(dry_run: bool, as_json: bool, wide: bool) -> None:
    """Make what is missing, move stray rows, and drop what has expired.

    Ends with 1 if something failed or a table has not enough room ahead. What has expired and
    must stay, because no sealed aggregate has it yet, is listed as refused; that is no failure.
    """
    _managed(dry_run=dry_run, as_json=as_json, wide=wide)


@partitions.command(
    examples=[
        "whalefall partitions status",
        "whalefall partitions status --servers",
        "whalefall partitions status --servers --instance orders --json",
    ]
)
@click.option("--servers", is_flag=True, help="Partitioned tables on the servers instead.")
@click.option("--instance", help="With --servers: only this server.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="With --servers."
)
@shows
def status(servers: bool, instance: str | None, limit: int, as_json: bool, wide: bool) -> None:
    """Show how much room there is and how far back the data goes.

    Ends with 1 if a table of the ledger has not enough room ahead. With --servers: the
    partitioned tables on the servers as of the last capacity collection, those that end first
    on top.
    """
    if instance is not None and not servers:
        raise click.UsageError("--instance goes with --servers.")
    with opened():
        from app.services.partition_management.partition_management_service import (
            partition_management_service,
        )

        shown_zone = zone()
        if servers:
            of_servers = partition_management_service.status_of_servers(instance, most=limit)
            if as_json:
                write_json({"tables": of_servers})
            else:
                _show_servers(of_servers, shown_zone, wide=wide)
            return
        tables = partition_management_service.status()
    if as_json:
        write_json({"tables": tables})
    else:
        _show_status(tables, shown_zone, wide=wide)
    if any(table.alarm for table in tables):
        say("Some tables have not enough room ahead: whalefall partitions apply", style="red")
        raise click.exceptions.Exit(Exit.FAILURE)


def _managed(*, dry_run: bool, as_json: bool, wide: bool) -> None:
    with opened():
        from app.services.partition_management.partition_management_service import (
            partition_management_service,
        )

        result = partition_management_service.manage(dry_run=dry_run)
    if as_json:
        write_json(result)
    else:
        _show_result(result, wide=wide)
    if result["failed_count"] or result["alarms"]:
        raise click.exceptions.Exit(Exit.FAILURE)


def _show_result(result: dict[str, Any], *, wide: bool) -> None:
    from app.cli.tables import Column

    _show_actions(result, wide=wide)
    for title, troubles in (("Refused", result["refused"]), ("Failed", result["failed"])):
        for one in troubles:
            style = "yellow" if title == "Refused" else "red"
            write(f"{title}: {one['partition'] or one['table']}", style=style, wide=wide)
            write(one["reason"], indent=4, wide=wide)
    if result["left_over"]:
        write_table(
            [Column("NOT ATTACHED", key=True), Column("LOOKS LIKE ONE OF", least=16)],
            [[one["partition"], one["table"]] for one in result["left_over"]],
            wide=wide,
            empty="",
        )
    for mistake in result["mistakes"]:
        say(f"Error: {mistake}", style="bold red")
    if result["mistakes"]:
        say("Nothing is dropped until that is corrected.")
    for alarm in result["alarms"]:
        say(f"Alarm: {alarm['table']}: {alarm['reason']}.", style="bold red")
    made, dropped = len(result["created"]), len(result["dropped"])
    if result["dry_run"]:
        say(
            f"Would make {count(made, 'partition')} and drop {dropped:,}, which frees "
            f"{size_text(result['bytes_freed'])}. Nothing was changed: whalefall partitions apply"
        )
    else:
        say(
            f"Made {count(made, 'partition')} and dropped {dropped:,}, which freed "
            f"{size_text(result['bytes_freed'])}."
        )


def _show_actions(result: dict[str, Any], *, wide: bool) -> None:
    from app.cli.tables import Column

    rows = [
        ["make", one["partition"], _day(one["lower"]), f"{one['rows_moved']:,}", "–", one["why"]]
        for one in result["created"]
    ]
    rows += [
        [
            "drop",
            one["partition"],
            _day(one["lower"]),
            f"~{one['row_estimate']:,}",
            size_text(one["bytes"]),
            one["why"],
        ]
        for one in result["dropped"]
    ]
    write_table(
        [
            Column("DO" if result["dry_run"] else "DONE", least=4),
            Column("PARTITION", key=True),
            Column("FROM", least=10),
            Column("ROWS", right=True, least=6),
            Column("BYTES", right=True, least=8),
            Column("WHY", optional=True, least=12),
        ],
        rows,
        wide=wide,
        empty="Every partition that should be there is there, and none has expired.",
    )


def _show_status(tables: list[TableStatus], shown_zone: ZoneInfo, *, wide: bool) -> None:
    from app.cli.tables import Column

    write_table(
        [
            Column("TABLE", key=True),
            Column("STATE", least=7),
            Column("ROOM", right=True, least=6),
            Column("KEPT", right=True, least=6),
            Column("KEEP", least=6),
            Column("SIZE", right=True, least=8),
            Column("DEFAULT", right=True, least=7),
            Column("PARTITIONS", right=True, optional=True),
            Column("MANAGED", optional=True, least=16),
        ],
        [
            [
                table.table,
                state_cell("failed", "alarm")
                if table.alarm
                else state_cell("warning" if table.problem else "ok"),
                f"{table.runway_days} d",
                "–" if table.kept_days is None else f"{table.kept_days} d",
                _limits(table),
                size_text(table.total_bytes),
                "locked" if table.default_rows is None else f"{table.default_rows:,}",
                f"{table.partition_count:,}",
                when(table.managed_at, shown_zone),
            ]
            for table in tables
        ],
        wide=wide,
        empty="There is no time series.",
    )
    if not any(table.managed_at for table in tables):
        say("Partition management has not run yet: whalefall partitions apply")
    told: dict[str, list[str]] = {}
    for table in tables:
        if table.problem:
            told.setdefault(table.problem, []).append(table.table)
    for problem, names in told.items():
        write(", ".join(names), style="yellow", wide=wide)
        write(problem, indent=4, wide=wide)


def _show_servers(tables: list[dict[str, Any]], shown_zone: ZoneInfo, *, wide: bool) -> None:
    from app.cli.tables import Column

    write_table(
        [
            Column("INSTANCE", key=True),
            Column("DATABASE", least=8),
            Column("TABLE", key=True),
            Column("ROOM", right=True, least=6),
            Column("LAST PARTITION", least=12),
            Column("DEFAULT", right=True, least=7),
            Column("PARTITIONS", right=True, optional=True),
            Column("BY", optional=True, least=12),
            Column("SEEN", optional=True, least=16),
        ],
        [
            [
                table["instance"],
                table["database"],
                ".".join(filter(None, [table["schema_name"], table["relation"]])),
                _room(table["runway_days"]),
                table["last_partition"] or "–",
                _default_rows(table),
                f"{table['partition_count']:,}",
                f"{table['strategy']} {table['key_definition']}",
                when(table["observed_at"], shown_zone),
            ]
            for table in tables
        ],
        wide=wide,
        empty="No partitioned table is known. Collect first: whalefall run capacity --wait",
    )


def _room(days: int | None) -> str:
    if days is None:
        return "–"
    return f"{days} d" if days >= 0 else "none"


def _default_rows(table: dict[str, Any]) -> str:
    if table["default_name"] is None:
        return "none"
    return "–" if table["default_rows"] is None else f"~{table['default_rows']:,}"


def _limits(table: TableStatus) -> str:
    limits = []
    if table.keep_days is not None:
        limits.append(f"{table.keep_days} d")
    if table.keep_rows is not None:
        limits.append(f"{table.keep_rows:,} rows")
    if table.keep_bytes is not None:
        limits.append(size_text(table.keep_bytes))
    return ", ".join(limits) or "for ever"


def _day(moment: str | None) -> str:
    return moment[:10] if moment else "–"
