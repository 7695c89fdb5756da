"""``whalefall instance``: the servers that we look after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from app.cli.errors import Exit
from app.cli.instance_import import import_
from app.cli.instance_test import test
from app.cli.options import words_of
from app.cli.output import say, state_cell, when, write, write_json, write_table
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows
from app.constants.engines import Engine, TlsMode

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    cls=Group,
    examples=[
        "whalefall instance add orders --engine postgresql --host db1 --credential prod",
        "whalefall instance test orders",
        "whalefall instance list --tag prod",
        "whalefall instance import fleet.csv --dry-run",
    ],
)
def instance() -> None:
    """The database servers that we look after."""  # noqa: D401 - help, not a docstring


def _fields(function: F) -> F:
    for option in reversed(
        [
            click.option("--host", help="Name, address, or path of a Unix socket."),
            click.option("--port", type=int, help="The engine's usual one if absent."),
            click.option("--database", help="Where to log in first."),
            click.option("--credential", metavar="NAME", help="One of `credential list`."),
            click.option(
                "--tls",
                "tls_mode",
                type=words_of(TlsMode),
                help="How far the server's certificate is checked; verify-full if absent.",
            ),
            click.option(
                "--tls-ca",
                metavar="FILE",
                help="PEM of the authority to trust instead of the system's.",
            ),
            click.option("--tag", "tags", multiple=True, help="May be given several times."),
        ]
    ):
        function = option(function)
    return function


@instance.command(
    examples=[
        "whalefall instance add orders --engine postgresql --host db1.example.com \\",
        "    --credential prod --tag prod --tag eu",
        "whalefall instance add shop --engine mariadb --host /run/mysqld/mysqld.sock \\",
        "    --credential local",
        "whalefall instance add old --engine mysql --host 10.0.0.7 --tls disable \\",
        "    --credential prod --disabled",
    ]
)
@click.argument("name")
@click.option("--engine", type=words_of(Engine), required=True, help="What runs there.")
@_fields
@click.option("--disabled", is_flag=True, help="Keep it out of runs for now.")
def add(name: str, tls_ca: str | None, disabled: bool, **fields: Any) -> None:
    """Register a server under NAME."""
    ca = _pem(tls_ca) if tls_ca else None
    with opened():
        from app.services.instances.instances_service import instances_service

        row = instances_service.add(name=name, tls_ca=ca, enabled=not disabled, **fields)
    say(f"Added {row.name} ({row.engine} at {row.host} port {row.port}).")
    say(f"Next: whalefall instance test {row.name}")


@instance.command(
    "list",
    examples=[
        "whalefall instance list",
        "whalefall instance list --tag prod --engine mysql",
        "whalefall instance list --state removed --json",
    ],
)
@click.option("--tag", "tags", multiple=True, help="Only those that carry it; several: each.")
@click.option("--engine", type=words_of(Engine), help="Only this engine.")
@click.option(
    "--state",
    type=click.Choice(["enabled", "disabled", "removed"]),
    help="Only this state; all but the removed ones if absent.",
)
@shows
def list_(
    tags: tuple[str, ...], engine: str | None, state: str | None, as_json: bool, wide: bool
) -> None:
    """List the servers."""
    with opened():
        from app.services.instances.instances_service import instances_service

        rows = instances_service.list_instances(tags=tags, engine=engine, state=state)
    if as_json:
        write_json({"instances": rows})
        return
    from app.cli.tables import Column

    filtered = bool(tags or engine or state)
    write_table(
        [
            Column("NAME", key=True),
            Column("ENGINE", least=10),
            Column("HOST", least=12),
            Column("PORT", right=True, least=5),
            Column("STATE", least=8),
            Column("TAGS", least=6),
            Column("CREDENTIAL", optional=True),
            Column("TLS", least=11, optional=True),
            Column("VERSION", optional=True),
        ],
        [
            [
                row.name,
                row.engine,
                row.host,
                str(row.port),
                state_cell(row.state),
                " ".join(row.tags),
                row.credential or "–",
                row.tls_mode,
                row.server_version or "–",
            ]
            for row in rows
        ],
        wide=wide,
        empty="No server matches: whalefall instance list shows them all."
        if filtered
        else "No server is registered. Register one: whalefall instance add --help",
    )


@instance.command(
    examples=["whalefall instance show orders", "whalefall instance show orders --json"]
)
@click.argument("name")
@shows
def show(name: str, as_json: bool, wide: bool) -> None:  # noqa: ARG001 - every show has --wide
    """Show all that is set for one server."""
    with opened():
        from app.services.instances.instances_service import instances_service

        row = instances_service.get(name)
        shown_zone = zone()
    if as_json:
        write_json(row)
        return
    for label, value in (
        ("Name", row.name),
        ("Engine", row.engine),
        ("Version", row.server_version or "not read yet"),
        ("Host", row.host),
        ("Port", row.port),
        ("Database", row.database or "the engine's usual one"),
        ("TLS", row.tls_mode + (", its own CA" if row.own_ca else "")),
        ("Credential", f"{row.credential} (user {row.username})"),
        ("Tags", " ".join(row.tags) or "none"),
        ("State", row.state),
        ("Added", when(row.created_at, shown_zone)),
        ("Changed", when(row.updated_at, shown_zone)),
    ):
        write(f"{label:<11} {value}")


@instance.command(
    examples=[
        "whalefall instance edit orders --host db2.example.com",
        "whalefall instance edit orders --tag prod --tag us",
        "whalefall instance edit orders --tls verify-full --tls-ca ca.pem",
    ]
)
@click.argument("name")
@click.option("--name", "new_name", metavar="NEW", help="Call it so from now on.")
@click.option("--engine", type=words_of(Engine), help="Only before its first read.")
@_fields
@click.option("--no-tags", is_flag=True, help="Take every tag away.")
@click.option("--no-tls-ca", is_flag=True, help="Trust the system's authorities again.")
@click.option("--no-database", is_flag=True, help="Log in to the engine's usual one again.")
def edit(
    name: str,
    new_name: str | None,
    tls_ca: str | None,
    tags: tuple[str, ...],
    no_tags: bool,
    no_tls_ca: bool,
    no_database: bool,
    **fields: Any,
) -> None:
    """Change the server NAME; what is not given stays. Tags are replaced, not added."""
    changes = {key: value for key, value in fields.items() if value is not None}
    if new_name:
        changes["name"] = new_name
    if (tags and no_tags) or (tls_ca and no_tls_ca) or (fields["database"] and no_database):
        raise click.UsageError("an option and its --no-… exclude each other: give one of them.")
    if tags or no_tags:
        changes["tags"] = tags
    if tls_ca or no_tls_ca:
        changes["tls_ca"] = _pem(tls_ca) if tls_ca else None
    if no_database:
        changes["database"] = None
    if not changes:
        raise click.UsageError("nothing to change was given.")
    with opened():
        from app.services.instances.instances_service import instances_service

        row = instances_service.edit(name, **changes)
    say(f"Changed {row.name}. Try it: whalefall instance test {row.name}")


@instance.command(examples=["whalefall instance enable orders", "whalefall instance enable a b c"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def enable(names: tuple[str, ...]) -> None:
    """Let servers take part in runs again."""
    with opened():
        from app.services.instances.instances_service import instances_service

        for name in names:
            instances_service.enable(name)
            say(f"Enabled {name}.")


@instance.command(examples=["whalefall instance disable orders"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def disable(names: tuple[str, ...]) -> None:
    """Keep servers out of runs; what is known of them stays."""
    with opened():
        from app.services.instances.instances_service import instances_service

        for name in names:
            instances_service.disable(name)
            say(f"Disabled {name}.")


@instance.command(
    examples=["whalefall instance remove orders", "whalefall instance remove orders --yes"]
)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Stop looking after the server NAME. Its history stays; its name is free again."""
    with opened():
        from app.services.instances.instances_service import instances_service

        removal = instances_service.removal_of(name)
        say(
            f"No run will read {name} any more. Kept: its history, "
            f"{removal.accounts_kept:,} accounts, and credential {removal.credential}."
        )
        if not yes and not click.confirm(f"Remove {name}?", err=True):
            say("Nothing was changed.")
            raise click.exceptions.Exit(Exit.FAILURE)
        instances_service.remove(name)
    say(f"Removed {name}.")


def _pem(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise click.ClickException(f"--tls-ca: {error.strerror}: {path}") from None


instance.add_command(test)
instance.add_command(import_)
