"""``whalefall instance import``: many servers from one CSV file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.errors import Exit
from app.cli.output import count, say, state_cell, write_json, write_table
from app.cli.store import opened
from app.cli.teaching import Command, shows

if TYPE_CHECKING:
    from app.services.instances.csv_import import LineVerdict


@click.command(
    "import",
    cls=Command,
    examples=[
        "whalefall instance import fleet.csv --dry-run",
        "whalefall instance import fleet.csv",
        "whalefall instance import fleet.csv --skip-bad --json",
        "",
        "fleet.csv:",
        "  name,engine,host,port,tags,credential",
        "  orders,postgresql,db1.example.com,5432,prod eu,prod",
        "  shop,mariadb,10.0.0.7,,prod,prod",
    ],
)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Judge every line, write nothing.")
@click.option("--skip-bad", is_flag=True, help="Register the good lines although others are bad.")
@shows
def import_(file: str, dry_run: bool, skip_bad: bool, as_json: bool, wide: bool) -> None:
    """Register every server of a CSV file, or none.

    FILE may be - for standard input. Its first line names the columns. Needed: name, engine,
    host, credential. Possible: port, database, tls_mode, tls_ca_file, tags (separated by
    spaces), enabled. UTF-8; separated by commas, semicolons or tabs. Passwords do not belong
    into the file: it names a credential.
    """
    content, folder = _read(file)
    with opened():
        from app.services.instances.instances_service import instances_service

        done = instances_service.import_csv(
            content, folder=folder, skip_bad=skip_bad, dry_run=dry_run
        )
    bad = [line for line in done.lines if line.problems]
    good = len(done.lines) - len(bad)
    if as_json:
        write_json(
            {
                "lines": [
                    {
                        "line": line.line,
                        "name": line.name,
                        "ok": not line.problems,
                        "problems": line.problems,
                    }
                    for line in done.lines
                ],
                "good": good,
                "bad": len(bad),
                "added": done.added,
            }
        )
    else:
        _show(done.lines, wide=wide)
    if dry_run:
        say(f"{good} good, {len(bad)} bad. Nothing was written: this was a dry run.")
    elif bad and not skip_bad:
        say(
            f"Error: {len(bad)} of {len(done.lines)} lines are bad, so that nothing was written. "
            f"Repair them, or add the {good} good ones with --skip-bad.",
            style="bold red",
        )
    else:
        say(f"Added {count(done.added, 'server')}. Next: whalefall instance test NAME")
    if bad:
        raise click.exceptions.Exit(Exit.FAILURE)


def _show(lines: list[LineVerdict], *, wide: bool) -> None:
    from app.cli.tables import Column

    write_table(
        [
            Column("LINE", right=True),
            Column("NAME", key=True),
            Column("VERDICT"),
        ],
        [
            [
                str(line.line),
                line.name or "–",
                state_cell("failed", "bad") if line.problems else state_cell("ok"),
            ]
            for line in lines
        ],
        wide=wide,
        empty="The file holds no server.",
    )
    for line in lines:
        for problem in line.problems:
            say(f"line {line.line}: {problem}")


def _read(file: str) -> tuple[bytes, Path]:
    if file == "-":
        return sys.stdin.buffer.read(), Path()
    path = Path(file).expanduser()
    try:
        return path.read_bytes(), path.parent
    except OSError as error:
        raise click.ClickException(f"{error.strerror}: {file}") from None
