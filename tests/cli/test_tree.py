from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from app.cli.root import cli
from app.cli.teaching import Command, Group

ROOT = Path(__file__).resolve().parents[2]
SLOW = {
    "alembic",
    "cryptography",
    "flask",
    "procrastinate",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
}
SHOWING = {"list", "show", "held", "changes", "overview", "settings", "test", "import"}


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walk(inner, (*path, name))


TREE = dict(walk(cli))
EVERY = [
    pytest.param(path, command, id=" ".join(path) or "whalefall") for path, command in TREE.items()
]
LEAVES = [parameter for parameter in EVERY if not isinstance(parameter.values[1], click.Group)]


def shown_help(path: tuple[str, ...], command: click.Command) -> str:
    return command.get_help(
        click.Context(command, info_name=" ".join(("whalefall", *path)), terminal_width=80)
    )


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_teaches_with_a_sentence_and_an_example(
    path: tuple[str, ...], command: click.Command
) -> None:
    assert command.help
    assert isinstance(command, Command | Group)
    assert any(
        example.startswith("whalefall ") or " | whalefall " in example
        for example in command.examples
    )
    shown = shown_help(path, command)
    assert "Examples:" in shown
    assert all(example.strip() in shown for example in command.examples)


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_help_fits_80_columns(path: tuple[str, ...], command: click.Command) -> None:
    assert max(map(cell_len, shown_help(path, command).splitlines())) <= 80


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_the_summary_of_a_command_is_whole_in_the_list_of_commands(
    path: tuple[str, ...], command: click.Command
) -> None:
    if isinstance(command, click.Group):
        listed = shown_help(path, command).split("Commands:")[1].split("Examples:")[0]
        assert "..." not in listed


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_examples_are_commands_that_exist_with_options_that_exist(
    path: tuple[str, ...],  # noqa: ARG001 - it names the test
    command: click.Command,
) -> None:
    assert isinstance(command, Command | Group)
    parse_commands("\n".join(command.examples))


DOCS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("document", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_the_docs_exist_with_options_that_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        parse_commands(block)
    for inline in re.findall(r"`(whalefall [^`]+)`", text):
        words = [word for word in inline.split() if not word.isupper()]
        named = tuple(words[1:3]) if tuple(words[1:3]) in TREE else tuple(words[1:2])
        assert named in TREE or words[1].startswith("-"), inline


def parse_commands(text: str) -> int:
    """Parse each line that is a command of ours, as click would before running it."""
    parsed = 0
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.split(" | ")[-1].split(" > ")[0].strip(), comments=True)
        while words and "=" in words[0]:
            words.pop(0)
        if not words or words[0] != "whalefall":
            continue
        named: tuple[str, ...] = ()
        while (*named, words[len(named) + 1]) in TREE:
            named = (*named, words[len(named) + 1])
            if len(named) + 1 >= len(words):
                break
        meant = TREE[named]
        assert not isinstance(meant, click.Group), line
        with meant.make_context(" ".join(named), words[len(named) + 1 :]):
            parsed += 1
    return parsed


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_whatever_lists_or_shows_has_json_and_wide(
    path: tuple[str, ...], command: click.Command
) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    if path[-1] in SHOWING or path == ("run",):
        assert {"--json", "--wide"} <= options


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_no_option_or_argument_takes_a_secret_by_its_value(
    path: tuple[str, ...],  # noqa: ARG001 - it names the test
    command: click.Command,
) -> None:
    for parameter in command.params:
        for word in ("password", "secret", "token", "pass", "pwd"):
            if word in (parameter.name or ""):
                assert parameter.opts in (["--password-env"], ["--password-file"])


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_every_option_says_what_it_does(
    path: tuple[str, ...],  # noqa: ARG001 - it names the test
    command: click.Command,
) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, parameter.name


def test_the_exit_codes_are_documented_where_people_look_first() -> None:
    shown = shown_help((), cli)
    for code in ("0  ", "1  ", "2  ", "3  ", "4  ", "5  ", "130  "):
        assert f"\n  {code}" in shown


def test_help_waits_for_nothing_that_is_slow_to_import() -> None:
    script = (
        "import sys, app.cli.root as r; r.exit_code(['instance', 'add', '--help']);"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "--credential" in said.stdout
    assert not SLOW & set(said.stderr.split())
