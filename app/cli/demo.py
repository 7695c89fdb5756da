"""``whalefall demo``: the main job on real servers of our own, from an empty directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.errors import Exit
from app.cli.output import say, state_cell, when, write, write_table
from app.cli.processes import stoppable, tell_what_runs
from app.cli.progress import follow
from app.cli.store import opened, who, zone
from app.cli.teaching import Command

if TYPE_CHECKING:
    from flask import Flask

    from app.services.demo.fleet import Fleet


_JOBS = (
    ("Reading the accounts of every registered server", "sync_accounts"),
    ("Reading their sizes", "collect_capacity"),
    ("Summing up", "run_aggregation"),
)


@click.command(cls=Command, examples=["whalefall demo", "whalefall demo --once"])
@click.option("--once", is_flag=True, help="End when everything was shown instead of staying up.")
@click.option(
    "--servers",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of unpacked MariaDB or MySQL servers; without it only installed ones are used.",
)
def demo(once: bool, servers: Path | None) -> None:
    """Show the main job on a small fleet of real servers.

    Then it stays up like `whalefall up`. Starts a PostgreSQL and, where one can be found, a
    MariaDB or MySQL of its own, reads who may do what on them and how big everything is, changes
    something there, reads again, and foretells when what is full. As soon as a server of yours is
    registered the demo's servers stay away and only yours are read.
    """
    with stoppable() as stop, opened(migrate=True, works=True) as app:
        from app.services.demo.demo_service import demo_service

        tell_what_runs(app, "scheduler and worker")
        with _everything_up(app, stop):
            if demo_service.only_demo_registered():
                _show_on_demo_servers(stop, once=once, servers=servers)
            else:
                say("Servers of yours are registered: the demo's own stay away.")
                for name in demo_service.stand_down():
                    say(f"  {name} is disabled; its ledger stays")
                for what, task in _JOBS:
                    _run(what, task)
                _overview()
                if not once:
                    _stay(stop)
    say("Stopped.")


def _show_on_demo_servers(stop: threading.Event, *, once: bool, servers: Path | None) -> None:
    from app.config import current_settings
    from app.services.demo.demo_service import demo_service
    from app.services.demo.fleet import running_fleet

    say("")
    say("Starting the demo's database servers …")
    with running_fleet(current_settings().data_dir / "demo", servers) as fleet:
        added = demo_service.register(fleet)
        for server in fleet.servers:
            new = "new" if server.name in added else "known from an earlier demo"
            say(f"  {server.name}: {server.engine.value}, {new}")
        for reason in fleet.left_out:
            say(f"  left out: {reason}", style="yellow")
        fleet.grow()
        _run("Partitions for what is to come", "manage_partitions")
        _run("First sync of accounts", "sync_accounts")
        _overview()
        _change_and_sync(fleet)
        _sizes(fleet)
        _run("Limits of logs and history", "cleanup_logs")
        _jobs()
        write()
        write("See for yourself, in another terminal:", style="bold")
        for line in (
            "whalefall accounts list --privileged",
            "whalefall accounts show demo-postgresql alice",
            "whalefall accounts changes --since 1h",
            "whalefall capacity top --by relation",
            "whalefall capacity growth --period month",
            "whalefall capacity unsized",
            "whalefall partitions status --servers",
            "whalefall logs tail",
            "whalefall runs list",
            "whalefall instance add --help",
        ):
            write(line, indent=2)
        if not once:
            _stay(stop)


def _change_and_sync(fleet: Fleet) -> None:
    from app.services.accounts.accounts_service import accounts_service

    seen_so_far = _newest_change()
    say("")
    say("Now somebody changes accounts on the servers …")
    fleet.change_something()
    _run("Second sync of accounts", "sync_accounts")
    write()
    write("What changed (! raised a privilege)", style="bold")
    for change in reversed(accounts_service.list_changes(since=seen_so_far).rows):
        where = f" in {change.database}" if change.database else ""
        of_whom = f" {change.account}" if change.account else ""
        write(
            f"{'!' if change.raised else ' '} {change.instance}:{of_whom}{where}: {change.title}",
            style="red" if change.raised else None,
        )
        for line in change.lines:
            write(line, indent=4)


def _sizes(fleet: Fleet) -> None:
    """Collect sizes, let the tables grow, collect again, and show what comes of it."""
    from app.cli.capacity import write_top
    from app.cli.capacity_forecast import write_forecasts
    from app.cli.capacity_growth import write_growth
    from app.constants.capacity import Period, Scope
    from app.services.capacity.capacity_service import capacity_service
    from app.services.capacity.growth_service import growth_service
    from app.services.demo.history import DAYS, generate_history
    from app.services.forecast.forecast_service import forecast_service

    _run("First collection of sizes", "collect_capacity")
    for name in generate_history():
        say(f"{name}: its {DAYS} days before today are made up, and its tag says so.")
    say("Now a day's business arrives in the tables …")
    fleet.grow()
    _run("Second collection of sizes", "collect_capacity")
    _run("Days, weeks, months, quarters and forecasts", "run_aggregation")
    write()
    write("The biggest databases", style="bold")
    write_top(
        capacity_service.top(Scope.DATABASE, limit=5).rows, Scope.DATABASE, zone(), wide=False
    )
    write()
    write("What grew most; the days before the demo are made up", style="bold")
    write_growth(growth_service.grown_most(Scope.DATABASE, Period.WEEK, limit=5), wide=False)
    write()
    write("When things are full; the demo has set a limit for orders", style="bold")
    write_forecasts(forecast_service.list_forecasts(limit=3), zone(), wide=False)


def _jobs() -> None:
    """Show the five jobs, and how the last run of each ended."""
    from app.cli.tables import Column
    from app.services.schedule.schedule_service import schedule_service
    from app.services.task_runs.task_runs_service import task_runs_service

    rows = []
    for job in sorted(schedule_service.list_jobs(), key=lambda one: one.next_fire_at or one.job_id):
        last = task_runs_service.list_runs(task=job.task, limit=1)
        rows.append(
            [
                job.job_id,
                when(job.next_fire_at, zone()),
                state_cell(last[0].state) if last else "–",
                job.name,
            ]
        )
    write()
    write("The five jobs of every night", style="bold")
    write_table(
        [Column("JOB", key=True), Column("NEXT", least=16), Column("NOW", least=9), Column("NAME")],
        rows,
        wide=False,
        empty="There is none.",
    )


def _newest_change() -> datetime:
    from datetime import UTC, timedelta

    from app.services.accounts.accounts_service import accounts_service

    rows = accounts_service.list_changes(limit=1).rows
    return (
        rows[0].occurred_at + timedelta(microseconds=1)
        if rows
        else datetime(1970, 1, 1, tzinfo=UTC)
    )


def _overview() -> None:
    from app.cli.accounts import write_overview
    from app.services.accounts.accounts_service import accounts_service

    write()
    write_overview(accounts_service.overview(), wide=False)


def _run(what: str, task: str) -> None:
    from app.constants.runs import State, Trigger
    from app.services.task_runs.task_runs_service import task_runs_service

    say("")
    say(f"{what} …")
    run_id = task_runs_service.request(task, trigger=Trigger.CLI, requested_by=who()).run_id
    ended = follow(run_id)
    told = f"Run {run_id} {ended.state}"
    if ended.item_count:
        told += (
            f": {ended.succeeded_count} full, {ended.partial_count} partial,"
            f" {ended.failed_count} failed"
        )
    say(f"{told}.")
    if ended.state == State.FAILED:
        say(ended.error or f"whalefall runs show {run_id} says why.", style="red")
        raise click.exceptions.Exit(Exit.FAILURE)


@contextmanager
def _everything_up(app: Flask, stop: threading.Event) -> Iterator[None]:
    """Run scheduler and worker beside this thread; whoever leaves the block ends them."""
    from app.worker import run_all

    thread = threading.Thread(target=run_all, args=(app, stop), name="up")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _stay(stop: threading.Event) -> None:
    say("")
    say("Staying up; the scheduler does all of it again every night. Ctrl-C ends it.")
    stop.wait()
