"""``whalefall jobs``: what is due when."""

from __future__ import annotations

import click

from app.cli.output import say, state_cell, when, write_json, write_table
from app.cli.store import opened, who, zone
from app.cli.teaching import Group, shows


@click.group(
    cls=Group,
    examples=[
        "whalefall jobs list",
        'whalefall jobs set-cron sync_accounts_daily "30 3 * * *"',
        "whalefall jobs pause sync_accounts_daily",
    ],
)
def jobs() -> None:
    """The schedule: which task is due when.

    A change takes effect within seconds, in whichever process is the clock.
    """  # noqa: D401 - help, not a docstring


@jobs.command("list", examples=["whalefall jobs list", "whalefall jobs list --json"])
@shows
def list_(as_json: bool, wide: bool) -> None:
    """List the scheduled jobs.

    Cron fields and times are those of the configured zone.
    """
    with opened() as app:
        from app.scheduler import announce_jobs
        from app.services.schedule.schedule_service import schedule_service

        announce_jobs(app)
        rows = schedule_service.list_jobs()
        shown_zone = zone()
    if as_json:
        write_json({"timezone": str(shown_zone), "jobs": rows})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("JOB", key=True),
            Column("CRON", least=9),
            Column("STATE", least=8),
            Column("NEXT", least=16),
            Column("LAST", least=16),
            Column("RUN", right=True, optional=True),
            Column("NAME", optional=True),
            Column("OF THE CODE", optional=True),
        ],
        [
            [
                row.job_id,
                row.cron,
                state_cell("paused" if row.paused else "enabled"),
                when(row.next_fire_at, shown_zone),
                when(row.last_fire_at, shown_zone),
                str(row.last_run_id or "–"),
                row.name,
                row.code_cron if row.overridden else "–",
            ]
            for row in rows
        ],
        wide=wide,
        empty="The code has no job.",
    )


@jobs.command(examples=["whalefall jobs pause sync_accounts_daily"])
@click.argument("job_id")
def pause(job_id: str) -> None:
    """Fire the job JOB_ID no more until it is resumed."""
    with opened() as app:
        from app.scheduler import announce_jobs
        from app.services.schedule.schedule_service import schedule_service

        announce_jobs(app)
        job = schedule_service.pause(job_id, by=who())
    say(f"{job.job_id} is paused. It goes on with: whalefall jobs resume {job.job_id}")


@jobs.command(examples=["whalefall jobs resume sync_accounts_daily"])
@click.argument("job_id")
def resume(job_id: str) -> None:
    """Fire the job JOB_ID again.

    What was due meanwhile is not caught up.
    """
    with opened() as app:
        from app.scheduler import announce_jobs
        from app.services.schedule.schedule_service import schedule_service

        announce_jobs(app)
        job = schedule_service.resume(job_id, by=who())
        due = when(job.next_fire_at, zone())
    say(f"{job.job_id} is due next at {due}.")


@jobs.command(
    "set-cron",
    examples=[
        'whalefall jobs set-cron sync_accounts_daily "30 3 * * *"',
        'whalefall jobs set-cron sync_accounts_daily "0 */6 * * *"',
        "whalefall jobs set-cron sync_accounts_daily --default",
    ],
)
@click.argument("job_id")
@click.argument("cron", required=False)
@click.option("--default", is_flag=True, help="As the code has it, again.")
def set_cron(job_id: str, cron: str | None, default: bool) -> None:
    """Fire the job JOB_ID at other times.

    CRON is minute, hour, day of the month, month, day of the week, in the configured zone.
    """
    if (cron is None) is not default:
        raise click.UsageError("give either CRON in quotes, or --default.")
    with opened() as app:
        from app.scheduler import announce_jobs
        from app.services.schedule.schedule_service import schedule_service

        announce_jobs(app)
        job = schedule_service.set_cron(job_id, cron, by=who())
        due = "while it is paused, never" if job.paused else when(job.next_fire_at, zone())
    say(f"{job.job_id}: {job.cron}; due next: {due}.")
