"""How commands end: exit codes, and one line for what went wrong with one for what to do."""

from __future__ import annotations

import os
import sys
import traceback
from enum import IntEnum
from typing import TYPE_CHECKING

import click

from app.cli.output import say

if TYPE_CHECKING:
    import psycopg

_OTHER_VERSION = {"42P01", "42703", "42883"}
"""undefined_table, undefined_column, undefined_function."""
_NO_ANSWER = ("08", "57P")
"""connection_exception, and the classes of a server that shuts down or starts up."""


class Exit(IntEnum):
    """Exit codes that scripts can rely on."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    PARTIAL = 3
    RUN_FAILED = 4
    CANCELLED = 5
    INTERRUPTED = 130


EXIT_CODES = """\
0    it worked
1    it did not work; standard error says why and what to do
2    the command line is wrong
3    the run that was waited for ended partial: not everything was seen
4    the run that was waited for failed
5    the run that was waited for was cancelled
130  interrupted by Ctrl-C
"""


def exit_code_of(state: str) -> Exit:
    """Return the exit code of a run that ended in this state."""
    return {
        "partial": Exit.PARTIAL,
        "failed": Exit.RUN_FAILED,
        "cancelled": Exit.CANCELLED,
    }.get(state, Exit.OK)


def tell(error: Exception) -> Exit:
    """Write what went wrong and what to do; return the exit code."""
    if os.environ.get("WHALEFALL_LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exception(error)
    if isinstance(error, click.UsageError):
        if error.ctx is not None:
            say(error.ctx.get_usage())
        _tell(error.format_message(), _help_of(error))
        return Exit.USAGE
    if isinstance(error, click.ClickException):
        _tell(error.format_message(), None)
        return Exit.FAILURE
    if isinstance(error, click.Abort):
        if isinstance(error.__context__, EOFError):
            _tell(
                "nobody is there to answer the question",
                "Answer it on the command line: the command's --help names the option.",
            )
            return Exit.FAILURE
        say("Interrupted.")
        return Exit.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILURE
    _tell(*_explained(error))
    return Exit.FAILURE


def _tell(message: str, remedy: str | None) -> None:
    say(f"Error: {message}", style="bold red")
    if remedy:
        say(remedy)


def _help_of(error: click.UsageError) -> str | None:
    return f"See: {error.ctx.command_path} --help" if error.ctx is not None else None


def _explained(error: Exception) -> tuple[str, str | None]:
    import psycopg
    from sqlalchemy.exc import DBAPIError

    from app.config import SettingsError
    from app.repositories.remote.facts import ReadError
    from app.services.store.store_service import StoreError
    from app.utils.refusal import Refused
    from app.utils.secrets import SecretsError

    if isinstance(error, Refused | ReadError):
        return error.message, error.remedy
    if isinstance(error, SettingsError):
        return "the settings are wrong", str(error)
    if isinstance(error, StoreError | SecretsError):
        return str(error), None
    if isinstance(error, LookupError) and not isinstance(error, KeyError | IndexError):
        return str(error), None
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return _store_trouble(error.orig)
    if isinstance(error, psycopg.Error):
        return _store_trouble(error)
    if isinstance(error, OSError):
        name = f" {error.filename}:" if error.filename else ""
        return f"{name} {error.strerror or error}".strip(), None
    return (
        f"something unexpected happened: {type(error).__name__}: {error}",
        "Run it again with WHALEFALL_LOG_LEVEL=DEBUG to see where, and report it.",
    )


def _store_trouble(error: psycopg.Error) -> tuple[str, str]:
    said = str(error).strip().split("\n", 1)[0]
    if error.sqlstate in _OTHER_VERSION:
        return "the store is not at this version of WhaleFall", "Migrate it: whalefall db upgrade"
    if error.sqlstate is None or error.sqlstate.startswith(_NO_ANSWER):
        return (
            f"the store does not answer: {said}",
            "Check WHALEFALL_DATABASE_URL and that its server runs: whalefall settings",
        )
    return f"the store refused: {said}", "Run it again with WHALEFALL_LOG_LEVEL=DEBUG to see where."
