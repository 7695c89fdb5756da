"""``whalefall credential``: logins that instances share."""

from __future__ import annotations

import click

from app.cli.output import count, say, when, write_json, write_table
from app.cli.passwords import password_from, password_options
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows


@click.group(
    cls=Group,
    examples=[
        "whalefall credential add prod --username whalefall",
        "whalefall credential list",
        "whalefall credential rotate prod",
    ],
)
def credential() -> None:
    """Logins that instances share, their passwords encrypted.

    A password is asked for, or read from an environment variable or a file. It is never taken
    from the argument list, where everybody on the machine could see it, and never shown again.
    """


@credential.command(
    examples=[
        "whalefall credential add prod --username whalefall",
        "whalefall credential add prod --username whalefall --password-file pw.txt",
        "pass show db/prod | whalefall credential add prod --username whalefall \\",
        "    --password-file -",
    ],
)
@click.argument("name")
@click.option("--username", metavar="USER", help="The user on the servers; asked for if absent.")
@password_options
def add(
    name: str, username: str | None, password_env: str | None, password_file: str | None
) -> None:
    """Store the login NAME."""
    username = username or click.prompt("User name on the servers", err=True)
    password = password_from(password_env, password_file, f"Password of {username}")
    with opened():
        from app.services.credentials.credentials_service import credentials_service

        row = credentials_service.add(name, username, password)
    say(f"Stored {row.name}. Next: whalefall instance add … --credential {row.name}")


@credential.command(
    "list", examples=["whalefall credential list", "whalefall credential list --json"]
)
@shows
def list_(as_json: bool, wide: bool) -> None:
    """List the logins, without their passwords."""
    from app.cli.tables import Column

    with opened():
        from app.services.credentials.credentials_service import credentials_service

        rows = credentials_service.list_credentials()
        shown_zone = zone()
    if as_json:
        write_json({"credentials": rows})
        return
    write_table(
        [
            Column("NAME", key=True),
            Column("USER", least=12),
            Column("INSTANCES", right=True),
            Column("ROTATED", least=16),
            Column("CREATED", least=16, optional=True),
        ],
        [
            [
                row.name,
                row.username,
                str(row.instances),
                when(row.rotated_at, shown_zone),
                when(row.created_at, shown_zone),
            ]
            for row in rows
        ],
        wide=wide,
        empty="No login is stored. Store one: whalefall credential add NAME --username USER",
    )


@credential.command(
    examples=[
        "whalefall credential rotate prod",
        "whalefall credential rotate prod --password-env WHALEFALL_PASSWORD_NEW",
    ]
)
@click.argument("name")
@password_options
def rotate(name: str, password_env: str | None, password_file: str | None) -> None:
    """Replace the password of the login NAME.

    The next run logs in with the new one. Change it on the servers first, or let
    them take both for a while if the engine can.
    """
    password = password_from(password_env, password_file, f"New password of {name}")
    with opened():
        from app.services.credentials.credentials_service import credentials_service

        row = credentials_service.rotate(name, password)
    say(f"Replaced. {row.name} is used by {count(row.instances, 'server')}.")


@credential.command(examples=["whalefall credential remove old-login"])
@click.argument("name")
def remove(name: str) -> None:
    """Forget the login NAME, if no instance uses it."""
    with opened():
        from app.services.credentials.credentials_service import credentials_service

        credentials_service.remove(name)
    say(f"Removed {name}.")
