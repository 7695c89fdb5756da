"""``whalefall capacity``: how big everything is, and what is unknown."""

from __future__ import annotations

import click

from app.cli.output import say, when, write, write_json
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows


@click.group(
    cls=Group,
    examples=[
        "whalefall capacity unsized",
    ],
)
def capacity() -> None:
    """How big everything is, how it grows, and when it is full.

    The answers come from the ledger, as of the last collection: whalefall run capacity --wait
    """


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
    if not found.rows:
        say("Nothing is unknown, as of the last collections: whalefall capacity top")
    if found.more:
        say("There are more: --limit 0 for all.")
