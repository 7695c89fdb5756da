"""``whalefall accounts``: who exists, what they may do, and what changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import Exit
from app.cli.options import MOMENT, words_of
from app.cli.output import say, state_cell, when, write, write_json, write_table
from app.cli.store import opened, who, zone
from app.cli.teaching import Group, shows
from app.constants.accounts import AccountKind
from app.constants.engines import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from app.cli.tables import Cell
    from app.services.accounts.accounts_service import (
        AccountPage,
        AccountRow,
        ChangePage,
        ChangeRow,
        InstanceOverview,
    )


@click.group(
    cls=Group,
    examples=[
        "whalefall accounts overview",
        "whalefall accounts list --privileged",
        "whalefall accounts show orders alice",
        "whalefall accounts changes --since 7d --raised",
    ],
)
def accounts() -> None:
    """Who exists on the servers, what they may do, and what changed.

    The answers come from the ledger, as of the last sync: whalefall run accounts --wait
    """


@accounts.command(examples=["whalefall accounts overview", "whalefall accounts overview --json"])
@shows
def overview(as_json: bool, wide: bool) -> None:
    """Show what is known of each server, and what is not.

    Accounts, privileged ones, changes of 24 hours, and what could not be seen and why.
    """
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        rows = accounts_service.overview()
        if not as_json:
            write_overview(rows, wide=wide)
            return
    write_json({"instances": rows})


def write_overview(rows: Sequence[InstanceOverview], *, wide: bool) -> None:
    """Write the table of the servers, and below it what could not be seen and why."""
    from app.cli.tables import Column

    write_table(
        [
            Column("INSTANCE", key=True),
            Column("STATE", least=9),
            Column("ACCOUNTS", right=True),
            Column("PRIV.", right=True, least=5),
            Column("CHANGES", right=True),
            Column("UNSEEN", right=True, least=6),
            Column("SYNCED", least=16),
            Column("VERSION", optional=True),
            Column("ENGINE", least=10, optional=True),
        ],
        [
            [
                row.instance,
                state_cell(row.state, row.state or "never read"),
                f"{row.accounts:,}",
                f"{row.privileged:,}",
                f"{row.changes_24h:,}",
                f"{len(row.scopes_not_seen):,}",
                when(row.last_sync_at, zone()),
                row.version or "–",
                row.engine,
            ]
            for row in rows
        ],
        wide=wide,
        empty="No server is registered. Register one: whalefall instance add --help",
    )
    for row in rows:
        if row.held:
            write(f"{row.instance}: {row.held:,} accounts vanished at once", style="yellow")
            write("If they are gone: whalefall accounts held", indent=4)
        for unseen in row.scopes_not_seen:
            write(f"{row.instance}: {unseen.scope} was not seen ({unseen.status})", style="yellow")
            write(unseen.reason or "no reason given", indent=4)
            if unseen.remedy:
                write(unseen.remedy, indent=4, style="bold")


@accounts.command(
    "list",
    examples=[
        "whalefall accounts list --instance orders",
        "whalefall accounts list --privileged --engine mysql",
        "whalefall accounts list --name report --json",
        "whalefall accounts list --limit 0 --wide",
    ],
)
@click.option("--instance", help="Only this server.")
@click.option("--engine", type=words_of(Engine), help="Only this engine.")
@click.option("--name", "name_like", metavar="PART", help="Only names that hold this.")
@click.option("--privileged", is_flag=True, default=None, help="Only the privileged ones.")
@click.option("--kind", type=words_of(AccountKind), help="Only this kind.")
@click.option("--system", is_flag=True, help="Those of the engine itself, too.")
@click.option("--removed", is_flag=True, help="Those that are gone, too.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0: all.")
@click.option("--after", metavar="CURSOR", help="Continue where the last list said so.")
@shows
def list_(
    limit: int,
    after: str | None,
    system: bool,
    removed: bool,
    as_json: bool,
    wide: bool,
    **filters: Any,
) -> None:
    """List accounts by name."""
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        rows, after = _pages(
            accounts_service.list_accounts,
            limit,
            after,
            include_system=system,
            include_removed=removed,
            **filters,
        )
    if as_json:
        write_json({"accounts": rows, "next_after": after})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("ACCOUNT", key=True),
            Column("INSTANCE", key=True),
            Column("KIND", least=6),
            Column("LOGIN", least=7),
            Column("PRIVILEGED", least=10),
            Column("EXPIRES", least=10, optional=True),
            Column("ENGINE", least=10, optional=True),
        ],
        [
            [
                row.name,
                row.instance,
                row.kind,
                _login_cell(row),
                _privileged_cell(row),
                (row.expires_at or "unknown")[:10],
                row.engine,
            ]
            for row in rows
        ],
        wide=wide,
        empty="No account matches. The ledger is filled by: whalefall run accounts --wait",
    )
    if after:
        say(f"There are more: --after '{after}', or --limit 0 for all.")


@accounts.command(
    examples=[
        "whalefall accounts show orders alice",
        "whalefall accounts show shop app@%",
        "whalefall accounts show orders alice --at 2026-05-31",
    ]
)
@click.argument("instance")
@click.argument("account")
@click.option("--at", type=MOMENT, help="As of then: 7d (ago), 2026-05-31, 2026-05-31T18:00.")
@shows
def show(
    instance: str,
    account: str,
    at: datetime | None,
    as_json: bool,
    wide: bool,
) -> None:
    """Show what ACCOUNT holds on the server INSTANCE.

    Now, or at an earlier moment (--at).
    """
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        detail = accounts_service.show_account(instance, account, at)
        shown_zone = zone()
    if as_json:
        write_json(detail)
        return
    row = detail.account
    write(f"{row.name} on {row.instance} ({row.engine})", style="bold", wide=wide)
    write(f"{row.kind}, {_login_words(row)}, known since {when(row.first_seen_at, shown_zone)}")
    if row.removed_at:
        write(f"gone since {when(row.removed_at, shown_zone)}", style="red")
    if row.privileged:
        write(f"privileged: {', '.join(row.privileged_because)}", style="yellow", wide=wide)
    for scope in detail.scopes:
        write()
        write(scope.scope, style="bold", wide=wide)
        if scope.status != "full":
            seen = f"as of {when(scope.full_at, shown_zone)}" if scope.full_at else "never seen"
            write(f"{scope.status}, {seen}: {scope.reason or 'no reason given'}", style="yellow")
        for line in scope.lines:
            write(line, indent=2, wide=wide)
        if not scope.lines:
            write("nothing" if scope.full_at else "unknown", indent=2)
    if detail.changes:
        write()
        write("Changes", style="bold")
    for change in detail.changes:
        write_change(change, shown_zone, wide=wide)


@accounts.command(
    examples=[
        "whalefall accounts grants orders > grants.sql",
        "whalefall accounts grants shop --at 2026-05-31",
    ]
)
@click.argument("instance")
@click.option("--at", type=MOMENT, help="As of then: 7d (ago), 2026-05-31, 2026-05-31T18:00.")
@shows
def grants(
    instance: str,
    at: datetime | None,
    as_json: bool,
    wide: bool,  # noqa: ARG001 - every show has --wide
) -> None:
    """Write the GRANTs that the ledger holds, as SQL.

    What would give the accounts of INSTANCE all that they hold, rebuilt from the ledger
    without asking the server: to compare, to review, to restore. Passwords are not in it, because
    the ledger does not have them. Nothing is executed.
    """
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        by_database = accounts_service.grant_statements(instance, at)
    if as_json:
        write_json(
            {
                "scopes": [
                    {"database": database, "statements": statements}
                    for database, statements in by_database.items()
                ]
            }
        )
        return
    for database, statements in by_database.items():
        click.echo(f"-- {'in the server' if database is None else f'in database {database}'}")
        for statement in statements:
            click.echo(statement if statement.endswith(";") else f"{statement};")


@accounts.command(
    examples=[
        "whalefall accounts changes --since 24h",
        "whalefall accounts changes --instance orders --raised",
        "whalefall accounts changes --since 7d --limit 0 --json",
    ]
)
@click.option("--instance", help="Only this server.")
@click.option("--account", help="Only this account.")
@click.option("--since", type=MOMENT, help="Since then: 24h, 7d, 2026-05-31.")
@click.option("--raised", "raised_only", is_flag=True, help="Only what raised a privilege.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0: all.")
@click.option("--after", metavar="CURSOR", help="Continue where the last list said so.")
@shows
def changes(
    limit: int,
    after: str | None,
    as_json: bool,
    wide: bool,
    **filters: Any,
) -> None:
    """List what changed, newest first."""
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        shown_zone = zone()
        rows, after = _pages(accounts_service.list_changes, limit, after, **filters)
    if as_json:
        write_json({"changes": rows, "next_after": after})
        return
    for row in rows:
        write_change(row, shown_zone, wide=wide)
    if not rows:
        say("Nothing changed, as far as could be seen: whalefall accounts overview")
    if after:
        say(f"There are more: --after '{after}', or --limit 0 for all.")


@accounts.command(examples=["whalefall accounts held", "whalefall accounts held --json"])
@shows
def held(as_json: bool, wide: bool) -> None:
    """List removals that wait for a person.

    So many accounts vanished at once that somebody has to say that they are gone.
    """
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        rows = accounts_service.list_held()
        shown_zone = zone()
    if as_json:
        write_json({"held": rows})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("INSTANCE", key=True),
            Column("MISSED SINCE", least=16),
            Column("MISSING", right=True),
            Column("OF", right=True, least=2),
            Column("ACCOUNTS", least=12),
        ],
        [
            [
                row.instance,
                when(row.held_at, shown_zone),
                f"{len(row.accounts):,}",
                f"{row.accounts_before:,}",
                ", ".join(row.accounts),
            ]
            for row in rows
        ],
        wide=wide,
        empty="No removal waits for anybody.",
    )
    if rows:
        say("If they are really gone: whalefall accounts confirm-removal INSTANCE")


@accounts.command(
    "confirm-removal",
    examples=[
        "whalefall accounts confirm-removal orders",
        "whalefall accounts confirm-removal orders --yes",
    ],
)
@click.argument("instance")
@click.option("--yes", is_flag=True, help="Do not ask.")
def confirm_removal(instance: str, yes: bool) -> None:
    """Confirm that what vanished from INSTANCE is gone."""
    with opened():
        from app.services.accounts.accounts_service import accounts_service

        waiting = [row for row in accounts_service.list_held() if row.instance == instance]
        for row in waiting:
            say(f"{len(row.accounts):,} of {row.accounts_before:,} accounts are missing:")
            say(", ".join(row.accounts[:20]) + (", …" if len(row.accounts) > 20 else ""))
        if waiting and not yes and not click.confirm("Are they gone for good?", err=True):
            say("Nothing was changed.")
            raise click.exceptions.Exit(Exit.FAILURE)
        removed = accounts_service.confirm_removal(instance, who())
    say(f"{removed:,} accounts of {instance} are recorded as removed.")


def write_change(change: ChangeRow, shown_zone: ZoneInfo, *, wide: bool) -> None:
    """Write one change: a line that says when, where, who and what; its details below."""
    where = f" in {change.database}" if change.database else ""
    who_it_is = f": {change.account}" if change.account else ""
    raised = ", privilege raised" if change.raised else ""
    write(
        f"{when(change.occurred_at, shown_zone)}  {change.instance}{who_it_is}{where}: "
        f"{change.title}{raised}",
        style="red" if change.raised else None,
        wide=wide,
    )
    for line in change.lines:
        write(line, indent=4, wide=wide)


def _login_words(row: AccountRow) -> str:
    if row.locked:
        return "locked"
    if row.can_login is None:
        return "whether it can log in is unknown"
    return "can log in" if row.can_login else "cannot log in"


def _pages(
    question: Callable[..., AccountPage | ChangePage],
    limit: int,
    after: str | None,
    **filters: Any,
) -> tuple[list[Any], str | None]:
    """Return the rows of one page, of all pages if the limit is 0, and where the list goes on."""
    rows: list[Any] = []
    while True:
        try:
            page = question(limit=limit or 1000, after=after, **filters)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--after") from None
        rows += page.rows
        after = page.next_after
        if limit or after is None:
            return rows, after


def _login_cell(row: AccountRow) -> Cell:
    from app.cli.tables import Cell

    if row.removed_at:
        return Cell("gone", "red")
    if row.locked:
        return Cell("locked", "yellow")
    if row.can_login is None:
        return Cell("unknown")
    return Cell("yes" if row.can_login else "no")


def _privileged_cell(row: AccountRow) -> Cell:
    from app.cli.tables import Cell

    if not row.privileged:
        return Cell("no")
    return Cell(", ".join(row.privileged_because) or "yes", "yellow")
