"""Secrets come from a prompt, the environment or a file; never from the argument list."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def password_options(function: F) -> F:
    """Give a command the ways in which a password may come; without one it is asked for."""
    function = click.option(
        "--password-file",
        metavar="FILE",
        help="File whose first line is the password; - is standard input.",
    )(function)
    return click.option(
        "--password-env",
        metavar="VARIABLE",
        help="Environment variable that holds the password.",
    )(function)


def password_from(password_env: str | None, password_file: str | None, what: str) -> str:
    """Return the password from where it was said to be, or ask for it twice without echo."""
    if password_env and password_file:
        raise click.UsageError("--password-env and --password-file exclude each other: give one.")
    if password_env:
        password = os.environ.get(password_env)
        if password is None:
            # The value is not repeated: somebody may have written the password itself.
            raise click.UsageError(
                "--password-env names a variable that is not set; it takes the variable's name, "
                "not the password."
            )
    elif password_file:
        password = _first_line(password_file)
    else:
        password = click.prompt(what, hide_input=True, confirmation_prompt="Once more", err=True)
    if not password:
        raise click.ClickException("the password is empty: nothing was stored.")
    return password


def _first_line(path: str) -> str:
    try:
        content = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"--password-file: {error.strerror}: {path}") from None
    except UnicodeDecodeError:
        raise click.ClickException("--password-file: the file is not UTF-8 text.") from None
    return content.split("\n", 1)[0].removesuffix("\r")
