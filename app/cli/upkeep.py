"""``whalefall db``, ``key`` and ``settings``: what an operator needs now and then."""

from __future__ import annotations

import os
from typing import Any

import click

from app.cli.output import count, say, write_json, write_table
from app.cli.store import opened
from app.cli.teaching import Command, Group, shows


@click.group(cls=Group, examples=["whalefall db upgrade"])
def db() -> None:
    """The store's tables."""  # noqa: D401 - help, not a docstring


@db.command(examples=["whalefall db upgrade"])
def upgrade() -> None:
    """Bring the store's tables to this version.

    `whalefall up` does so by itself.
    """
    from app.config import load_settings
    from app.services.store import store_service
    from app.utils.structlog_config import configure_logging

    effective = load_settings().model_copy(update={"log_level": "ERROR"})
    configure_logging(effective)
    with store_service.open_store(effective) as url:
        steps = store_service.upgrade(url)
    for step in steps:
        say(f"Upgraded: {step}.")
    say("The store is at this version." if steps else "The store was at this version already.")


@click.group(cls=Group, examples=["whalefall key rotate"])
def key() -> None:
    """The key that encrypts stored passwords."""  # noqa: D401 - help, not a docstring


@key.command(examples=["whalefall key rotate"])
def rotate() -> None:
    """Replace the key, and encrypt every password anew.

    Nothing has to be stopped. Back the new key file up: without it no password can be read.
    """
    with opened():
        from app.config import current_settings
        from app.services.store.key_rotation import rotate_encryption_key

        rotated = rotate_encryption_key()
        file = current_settings().encryption_key_file
    say(f"{count(rotated, 'password')} encrypted with a new key. Back it up: {file}")


@click.command(cls=Command, examples=["whalefall settings", "whalefall settings --json"])
@shows
def settings(as_json: bool, wide: bool) -> None:
    """Show every setting in effect, without secrets."""
    from app.config import PREFIX, Settings, load_settings

    effective = load_settings()
    rows: list[dict[str, Any]] = []
    for name, field in Settings.model_fields.items():
        value = getattr(effective, name)
        rows.append(
            {
                "name": f"{PREFIX}{name.upper()}",
                "value": _without_password(value) if name == "database_url" else _plain(value),
                "set": name in effective.model_fields_set,
                "description": field.description or "",
            }
        )
    if as_json:
        write_json({"settings": rows, "env_file": os.environ.get("WHALEFALL_ENV_FILE")})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("SETTING", key=True),
            Column("VALUE", least=10),
            Column("SET", least=3),
            Column("MEANING", optional=True, least=20),
        ],
        [
            [
                row["name"],
                "–" if row["value"] is None else str(row["value"]),
                "yes" if row["set"] else "no",
                row["description"],
            ]
            for row in rows
        ],
        wide=wide,
        empty="",
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    parsed = parsed.difference_update_query(
        [key for key in parsed.query if "password" in key.lower()]
    )
    return parsed.render_as_string(hide_password=True)
