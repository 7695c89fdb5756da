"""``whalefall run``: ask for a run of a task now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import exit_code_of
from app.cli.output import say, write_json
from app.cli.store import opened, who, zone
from app.cli.teaching import Command, shows

if TYPE_CHECKING:
    from app.services.task_runs.summaries import RequestedRun


@click.command(
    cls=Command,
    examples=[
        "whalefall run accounts --wait",
        "whalefall run accounts --instance orders --instance shop --wait",
        "whalefall run accounts --tag prod",
        "whalefall run sync_accounts --wait --json",
    ],
)
@click.argument("task")
@click.option("--instance", "names", multiple=True, help="Only this server; several times: each.")
@click.option("--tag", "tags", multiple=True, help="Only servers that carry it; several: each.")
@click.option("--wait", is_flag=True, help="Show how far it is, and end with its outcome.")
@shows
def run(
    task: str,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    wait: bool,
    as_json: bool,
    wide: bool,
) -> None:
    """Run a task now: accounts (sync_accounts).

    Without --wait it is only asked for; a worker does it (whalefall up, or whalefall worker).
    With --wait this process works itself as long as no worker is up. While a run of the same
    task is active, no second one begins: the active one is shown.
    """
    from app.cli.progress import work_done_here
    from app.constants.runs import Trigger

    with opened(works=wait) as app:
        from app.scheduler import task_functions
        from app.services.instances.instances_service import instances_service
        from app.services.task_runs.task_runs_service import task_runs_service

        name = task_named(task, task_functions(app))
        parameters: dict[str, Any] = {}
        if names or tags:
            parameters["instance_ids"] = instances_service.ids_of(names=names, tags=tags)
        if not wait:
            requested = task_runs_service.request(
                name, trigger=Trigger.CLI, requested_by=who(), parameters=parameters
            )
            told_only(requested, as_json=as_json)
            return
        with work_done_here(app):
            requested = task_runs_service.request(
                name, trigger=Trigger.CLI, requested_by=who(), parameters=parameters
            )
            if not requested.created:
                say(f"Run {requested.run_id} of {name} is active already: waiting for that one.")
            state = waited_for(requested.run_id, as_json=as_json, wide=wide)
    raise click.exceptions.Exit(exit_code_of(state))


def task_named(word: str, known: Iterable[str]) -> str:
    """Return the task that is meant: its name, or a word of it that only one has."""
    names = sorted(known)
    meant = [name for name in names if name == word] or [
        name for name in names if word in name.split("_")
    ]
    if len(meant) != 1:
        raise click.BadParameter(
            f"{word!r} is no task. There are: {', '.join(names)}", param_hint="TASK"
        )
    return meant[0]


def told_only(requested: RequestedRun, *, as_json: bool) -> None:
    """Say that a run was asked for, and what follows."""
    from app.services.task_runs.workers import worker_is_up

    if as_json:
        write_json({"run_id": requested.run_id, "created": requested.created})
    if not requested.created:
        say(f"Run {requested.run_id} is active already; no second one was begun.")
    else:
        say(f"Run {requested.run_id} is queued. Watch: whalefall runs show {requested.run_id}")
    if not worker_is_up():
        say("No worker is up: it waits for whalefall up or whalefall worker.", style="yellow")


def waited_for(run_id: int, *, as_json: bool, wide: bool) -> str:
    """Wait for the end of a run, show it, and return its state."""
    from app.cli.progress import follow
    from app.cli.runs import show_run
    from app.services.task_runs.task_runs_service import task_runs_service

    ended = follow(run_id)
    items = task_runs_service.list_items(run_id)
    if as_json:
        write_json(ended.as_dict() | {"items": items})
    else:
        show_run(ended, items, zone(), wide=wide)
    return ended.state
