"""``whalefall runs``: what ran, what is running, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import exit_code_of
from app.cli.options import words_of
from app.cli.output import count, say, state_cell, when, write, write_json, write_table
from app.cli.store import opened, who, zone
from app.cli.teaching import Group, shows
from app.constants.runs import State

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from app.services.task_runs.summaries import ItemSummary, RunSummary


@click.group(
    cls=Group,
    examples=[
        "whalefall runs list",
        "whalefall runs show 12 --follow",
        "whalefall runs retry 12 --wait",
    ],
)
def runs() -> None:
    """Runs of tasks, each with one item per server."""  # noqa: D401 - help, not a docstring


@runs.command(
    "list",
    examples=[
        "whalefall runs list",
        "whalefall runs list --state failed --state partial",
        "whalefall runs list --limit 100 --json",
    ],
)
@click.option("--task", help="Only this task: accounts (sync_accounts).")
@click.option("--state", "states", multiple=True, type=words_of(State), help="Only these states.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--before", type=int, metavar="ID", help="Only runs older than this one.")
@shows
def list_(
    task: str | None,
    states: tuple[str, ...],
    limit: int,
    before: int | None,
    as_json: bool,
    wide: bool,
) -> None:
    """List runs, newest first."""
    with opened() as app:
        from app.cli.run import task_named
        from app.scheduler import task_functions
        from app.services.task_runs.task_runs_service import task_runs_service

        rows = task_runs_service.list_runs(
            task=task_named(task, task_functions(app)) if task else None,
            states=[State(state) for state in states],
            limit=limit,
            before_id=before,
        )
        shown_zone = zone()
    if as_json:
        write_json({"runs": rows, "next_before": rows[-1].id if len(rows) == limit else None})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("RUN", key=True, right=True),
            Column("TASK", least=13),
            Column("STATE", least=9),
            Column("OK", right=True, least=2),
            Column("PARTIAL", right=True),
            Column("FAILED", right=True),
            Column("STARTED", least=16),
            Column("TOOK", right=True, least=5),
            Column("ASKED BY", optional=True),
        ],
        [
            [
                str(row.id),
                row.task,
                state_cell(row.state),
                str(row.succeeded_count),
                str(row.partial_count),
                str(row.failed_count),
                when(row.started_at or row.requested_at, shown_zone),
                _took(row.started_at, row.ended_at),
                f"{row.trigger} {row.requested_by or ''}".strip(),
            ]
            for row in rows
        ],
        wide=wide,
        empty="No run matches. Ask for one: whalefall run accounts --wait",
    )


@runs.command(
    examples=[
        "whalefall runs show 12",
        "whalefall runs show 12 --follow",
        "whalefall runs show 12 --state failed --json",
    ]
)
@click.argument("run_id", type=int)
@click.option("--state", "states", multiple=True, type=words_of(State), help="Only such items.")
@click.option("--follow", "follows", is_flag=True, help="Watch it until it ends.")
@shows
def show(run_id: int, states: tuple[str, ...], follows: bool, as_json: bool, wide: bool) -> None:
    """Show the run RUN_ID and its servers.

    With --follow it ends with the run's outcome.
    """
    with opened():
        from app.cli.progress import follow
        from app.services.task_runs.task_runs_service import task_runs_service

        run = follow(run_id) if follows else task_runs_service.get_run(run_id)
        items = task_runs_service.list_items(run_id, states=[State(state) for state in states])
        shown_zone = zone()
    if as_json:
        write_json(run.as_dict() | {"items": items})
    else:
        show_run(run, items, shown_zone, wide=wide)
    if follows:
        raise click.exceptions.Exit(exit_code_of(run.state))


@runs.command(examples=["whalefall runs cancel 12"])
@click.argument("run_id", type=int)
def cancel(run_id: int) -> None:
    """Cancel the run RUN_ID.

    What waits ends now, what is being read ends at its next step.
    """
    with opened():
        from app.services.task_runs.task_runs_service import task_runs_service

        run = task_runs_service.cancel(run_id, by=who())
    if run.ended_at:
        say(f"Run {run_id} has ended: {run.state}.")
    else:
        say(f"Run {run_id} is ending. Watch: whalefall runs show {run_id} --follow")


@runs.command(examples=["whalefall runs retry 12", "whalefall runs retry 12 --wait"])
@click.argument("run_id", type=int)
@click.option("--wait", is_flag=True, help="Show how far it is, and end with its outcome.")
@shows
def retry(run_id: int, wait: bool, as_json: bool, wide: bool) -> None:
    """Run again only what failed in the run RUN_ID."""
    from app.cli.progress import work_done_here
    from app.cli.run import told_only, waited_for

    with opened(works=wait) as app:
        from app.services.task_runs.task_runs_service import task_runs_service

        if not wait:
            told_only(task_runs_service.retry_failed(run_id, by=who()), as_json=as_json)
            return
        with work_done_here(app):
            requested = task_runs_service.retry_failed(run_id, by=who())
            if not requested.created:
                say(f"Run {requested.run_id} is active already: waiting for that one.")
            state = waited_for(requested.run_id, as_json=as_json, wide=wide)
    raise click.exceptions.Exit(exit_code_of(state))


def show_run(
    run: RunSummary, items: list[ItemSummary], shown_zone: ZoneInfo, *, wide: bool
) -> None:
    """Write a run and its items."""
    from rich.text import Text

    from app.cli.output import console
    from app.cli.tables import Column

    state = state_cell(run.state)
    head = Text(f"Run {run.id} of {run.task}: ")
    head.append(state.text, style=state.style)
    console().print(head)
    write(f"{run.trigger} by {run.requested_by or '–'}, {when(run.requested_at, shown_zone)}")
    if run.retry_of_id:
        write(f"retry of run {run.retry_of_id}")
    write(
        f"{count(run.item_count, 'server')}: {run.succeeded_count} succeeded, "
        f"{run.partial_count} partial, {run.failed_count} failed, {run.cancelled_count} cancelled; "
        f"took {_took(run.started_at, run.ended_at)}"
    )
    if run.error:
        write(run.error, style="red")
    if not items:
        return
    write()
    write_table(
        [
            Column("INSTANCE", key=True),
            Column("STATE", least=9),
            Column("TOOK", right=True, least=5),
            Column("SCOPES", least=8),
            Column("QUERIES", right=True),
            Column("ROWS", right=True),
            Column("TRIES", right=True, optional=True),
        ],
        [
            [
                item.instance_name,
                state_cell(item.state),
                _took(item.started_at, item.ended_at),
                _scopes(item.coverage),
                _number(item.receipt, "queries"),
                _number(item.receipt, "rows"),
                str(item.attempt),
            ]
            for item in items
        ],
        wide=wide,
        empty="",
    )
    for item in items:
        if item.error:
            write(f"{item.instance_name}: {item.error}", style="red")
        remedy = (item.receipt or {}).get("remedy")
        if remedy:
            write(f"→ {remedy}", indent=2)


def _scopes(coverage: dict[str, Any] | None) -> str:
    seen = {status: count for status, count in (coverage or {}).items() if count}
    return ", ".join(f"{count} {status}" for status, count in seen.items()) or "–"


def _number(receipt: dict[str, Any] | None, key: str) -> str:
    value = (receipt or {}).get(key)
    return "–" if value is None else f"{value:,}"


def _took(started_at: datetime | None, ended_at: datetime | None) -> str:
    if started_at is None:
        return "–"
    seconds = ((ended_at or datetime.now(UTC)) - started_at).total_seconds()
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
