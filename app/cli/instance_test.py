"""``whalefall instance test``: can we log in, and what stays invisible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from app.cli.errors import Exit
from app.cli.output import console, say, state_cell, write, write_json
from app.cli.store import opened
from app.cli.teaching import Command, shows

if TYPE_CHECKING:
    from app.services.instances.connection import Step

_INDENT = 13
_SIGNS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "not_needed": "–"}


@click.command(
    cls=Command,
    examples=["whalefall instance test orders", "whalefall instance test orders shop --json"],
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@shows
def test(names: tuple[str, ...], as_json: bool, wide: bool) -> None:
    """Try connections step by step; say what to repair.

    Host name, network, TLS, login, reading the accounts, the rights of our own account, and each
    database. A warning (works, but something stays invisible) ends with 0, a failure with 1.
    """
    reports = []
    with opened():
        from app.services.instances.instances_service import instances_service

        for name in names:
            if not as_json:
                write(name, style="bold")
            with _counted(shown=not as_json) as advance:
                steps = list(
                    _told(
                        instances_service.test(name, progress=advance),
                        silent=as_json,
                        wide=wide,
                    )
                )
            reports.append(
                {
                    "name": name,
                    "ok": all(step.state != "failed" for step in steps),
                    "steps": steps,
                }
            )
    if as_json:
        write_json({"instances": reports})
    failed = [str(report["name"]) for report in reports if not report["ok"]]
    if failed:
        say(f"Error: {', '.join(failed)}: see the step that failed.", style="bold red")
        raise click.exceptions.Exit(Exit.FAILURE)


def _told(steps: Iterable[Step], *, silent: bool, wide: bool) -> Iterable[Step]:
    for step in steps:
        if not silent:
            _tell(step, wide=wide)
        yield step


def _tell(step: Step, *, wide: bool) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    from app.cli.tables import printable

    sign = state_cell(step.state, _SIGNS[step.state])
    out = console(width=10_000 if wide else None)
    line = Text(f"  {step.name:<10} ")
    line.append(f"{sign.text:<8} ", style=sign.style)
    detail = printable(step.detail)
    if cell_len(line.plain) + cell_len(detail) <= out.width:
        out.print(line.append(detail), soft_wrap=True)
    else:
        line.rstrip()
        out.print(line, soft_wrap=True)
        write(detail, indent=_INDENT, wide=wide)
    for part in (step.remedy or "").splitlines():
        write(f"→ {part}", indent=_INDENT, wide=wide)


@contextmanager
def _counted(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Count databases on a terminal; silent elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    out = console(error=True)
    with Progress(
        TextColumn("  databases"),
        BarColumn(),
        MofNCompleteColumn(),
        console=out,
        transient=True,
        disable=not (shown and out.is_terminal),
    ) as progress:
        task = progress.add_task("databases", total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)
