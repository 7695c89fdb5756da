"""Every setting of WhaleFall, with its default and its check; docs/settings.md lists them."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from flask import Flask, current_app
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "WHALEFALL_"
NOT_SETTINGS = ("WHALEFALL_ENV_FILE", "WHALEFALL_TEST_", "WHALEFALL_PASSWORD")
"""Beginnings of variables that others read: where settings are, tests, passwords to store."""


class SettingsError(Exception):
    """WhaleFall is not configured correctly."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        """One sentence for each thing that is wrong, which says what to do."""


def _default_data_dir() -> Path:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/whalefall")
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(share) / "whalefall"


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symbolic links as they were named


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a time zone; use a name such as Asia/Shanghai or UTC"
        ) from None
    return name


def _store_url(url: str | None) -> str | None:
    if not url:
        return None
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError("it must look like postgresql://user:password@host:5432/database")
    return f"postgresql+psycopg://{rest}"


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Retention(BaseModel):
    """How long one table is kept: whichever limit is reached first. Absent: the default one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int | None = Field(None, ge=1)
    rows: int | None = Field(None, ge=0)
    bytes: int | None = Field(None, ge=0)


class Settings(BaseSettings):
    """What can be set: by variables ``WHALEFALL_<NAME>``, or in the file ``WHALEFALL_ENV_FILE``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=True, env_ignore_empty=True
    )

    database_url: Annotated[str | None, AfterValidator(_store_url)] = Field(
        None, repr=False, description="PostgreSQL (15 or newer) of the store; unset: embedded."
    )
    data_dir: AbsolutePath = Field(
        default_factory=_default_data_dir,
        description="Where keys and the embedded store live: a local disk that is backed up.",
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "Asia/Shanghai", description="Zone of schedules and of day, week, month and quarter."
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = Field("INFO", description="Least severe message that is logged.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How messages look; auto: console on a terminal, else json."
    )
    worker_threads: int = Field(
        16, ge=1, le=100, description="Instances that one process reads at once."
    )
    databases_at_once: int = Field(
        4, ge=1, le=64, description="Databases of one instance that are read at once."
    )
    connect_timeout_seconds: float = Field(
        10, gt=0, le=300, description="Longest wait for a login to an instance."
    )
    statement_timeout_seconds: float = Field(
        60, gt=0, le=86400, description="Longest time of one statement on an instance."
    )
    lock_timeout_seconds: float = Field(
        2, gt=0, le=3600, description="Longest wait for a lock on an instance."
    )
    capacity_instance_seconds: float = Field(
        900, gt=0, le=86400, description="Longest time that the sizes of one instance may take."
    )
    capacity_database_seconds: float = Field(
        120, gt=0, le=86400, description="Longest time that the sizes of one database may take."
    )
    seal_after_days: int = Field(
        3,
        ge=0,
        le=60,
        description="Days after the end of a period until its aggregates are sealed.",
    )
    retention: dict[str, Retention] = Field(
        default_factory=dict,
        description="How long tables of the store are kept, as JSON by name: days, rows, bytes.",
    )
    partition_export_dir: AbsolutePath | None = Field(
        None, description="Where expired partitions are written before they are dropped."
    )
    partition_runway_days: int = Field(
        3, ge=1, le=365, description="Fewer days of partitions ahead than this are an alarm."
    )
    log_to_store: bool = Field(True, description="Whether messages also go to the log centre.")
    item_attempts: int = Field(
        3, ge=1, le=20, description="How often one instance of a run is tried when errors pass."
    )
    mass_removal_percent: int = Field(
        30,
        ge=1,
        le=100,
        description="Accounts that vanish at once, in percent, beyond which a person must confirm.",
    )
    mass_removal_minimum: int = Field(
        10, ge=1, description="Fewer accounts than this vanish without a confirmation."
    )
    catch_up_grace_hours: float = Field(
        24, ge=0, description="How old a missed schedule may be to be caught up at start."
    )
    secret_key_file: AbsolutePath = Field(
        default_factory=lambda data: data.get("data_dir", Path()) / "secret.key",
        description="Key that signs sessions; made on first start.",
    )
    encryption_key_file: AbsolutePath = Field(
        default_factory=lambda data: data.get("data_dir", Path()) / "encryption.key",
        description="Keys that encrypt stored passwords, newest first; made on first start.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.lock_timeout_seconds > self.statement_timeout_seconds:
            raise ValueError(
                "WHALEFALL_LOCK_TIMEOUT_SECONDS must not exceed "
                "WHALEFALL_STATEMENT_TIMEOUT_SECONDS: "
                "the statement would be cancelled first. Lower the one or raise the other"
            )
        if self.secret_key_file == self.encryption_key_file:
            raise ValueError(
                "WHALEFALL_SECRET_KEY_FILE and WHALEFALL_ENCRYPTION_KEY_FILE must be two files. "
                "Name another file for one of them"
            )
        if self.database_url is None and sys.platform == "win32":
            raise ValueError(
                "there is no embedded store on Windows. "
                "Set WHALEFALL_DATABASE_URL to a PostgreSQL of your own"
            )
        return self

    @property
    def store_dir(self) -> Path:
        """Where the embedded PostgreSQL lives."""
        return self.data_dir / "postgresql"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of schedules and periods."""
        return ZoneInfo(self.timezone)


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process; ``overrides`` win over the environment.

    Raises:
        SettingsError: with one line for each thing that is wrong.

    """
    lines = _unknown_variables()
    env_file = os.environ.get("WHALEFALL_ENV_FILE")
    if env_file and not Path(env_file).is_file():
        lines.append(f"WHALEFALL_ENV_FILE names {env_file}, which is not a file: correct the path.")
        env_file = None
    try:
        settings = Settings(_env_file=env_file, **overrides)
    except ValidationError as invalid:
        wrong = invalid.errors(include_url=False, include_input=False)
        lines += [_line(one) for one in wrong if one["type"] != "default_factory_not_called"]
        raise SettingsError(lines) from None  # the pydantic error would show values
    if lines:
        raise SettingsError(lines)
    return settings


def _unknown_variables() -> list[str]:
    ours = [name for name in sorted(os.environ) if name.startswith(PREFIX)]
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return [
        _not_a_setting(name)
        for name in ours
        if name not in known and not name.startswith(NOT_SETTINGS)
    ]


def _not_a_setting(name: str) -> str:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    similar = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {similar[0]}?" if similar else "remove it."
    return f"{name} is not a setting: {advice} docs/settings.md lists them all."


def _line(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ") + "."
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return _not_a_setting(PREFIX + name.upper().removeprefix(PREFIX))
    told = str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {told[0].lower()}{told[1:]}."


def install_settings(app: Flask, settings: Settings) -> None:
    """Make the settings those of the application."""
    app.extensions["whalefall"] = settings


def current_settings() -> Settings:
    """Return the settings of the current application."""
    settings: Settings = current_app.extensions["whalefall"]
    return settings
