"""The tree of commands, and how any of them ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from app import __version__
from app.cli.accounts import accounts
from app.cli.capacity import capacity
from app.cli.capacity_forecast import forecast, limit
from app.cli.capacity_growth import aggregate, growth
from app.cli.credential import credential
from app.cli.demo import demo
from app.cli.errors import EXIT_CODES, Exit, tell
from app.cli.instance import instance
from app.cli.jobs import jobs
from app.cli.logs import logs
from app.cli.partitions import partitions
from app.cli.processes import scheduler, up, worker
from app.cli.run import run
from app.cli.runs import runs
from app.cli.teaching import Group
from app.cli.upkeep import db, key, settings

_FIRST_STEPS = [
    "whalefall credential add prod --username whalefall",
    "whalefall instance add orders --engine mysql --host db1 --credential prod",
    "whalefall instance test orders",
    "whalefall run accounts --wait",
    "whalefall accounts list --privileged",
    "whalefall up",
]


class _Root(Group):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            for line in EXIT_CODES.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


@click.group(
    cls=_Root, examples=_FIRST_STEPS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="whalefall", message="%(prog)s %(version)s")
def cli() -> None:
    """WhaleFall (鲸落): a ledger of the accounts on a fleet of database servers.

    Who exists on every server, what they may do, and what changed since yesterday. Settings are
    environment variables: whalefall settings shows them.
    """


for _command in (
    up,
    scheduler,
    worker,
    credential,
    instance,
    run,
    runs,
    jobs,
    accounts,
    capacity,
    aggregate,
    logs,
    partitions,
    db,
    key,
    settings,
    demo,
):
    cli.add_command(_command)

for _command in (growth, forecast, limit):
    capacity.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    sys.exit(exit_code(arguments))


def exit_code(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is told in words."""
    try:
        code = cli.main(arguments, prog_name="whalefall", standalone_mode=False)
    except KeyboardInterrupt:
        return tell(click.Abort())
    except Exception as error:  # noqa: BLE001 - told, with its traceback if the log level is DEBUG
        return tell(error)
    return code if isinstance(code, int) else Exit.OK
