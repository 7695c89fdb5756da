from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.root import cli
from tests.cli.conftest import PASSWORD, Whalefall

ADD = ("credential", "add", "prod", "--username", "whalefall")


def names(whalefall: Whalefall) -> list[str]:
    return [row["name"] for row in whalefall("credential", "list", "--json").json["credentials"]]


def test_a_password_is_read_from_the_environment_and_never_shown(whalefall: Whalefall) -> None:
    added = whalefall(*ADD, "--password-env", "WHALEFALL_PASSWORD_TEST")
    assert (added.code, added.out) == (0, "")
    for said in (added, whalefall("credential", "list"), whalefall("credential", "list", "--json")):
        assert PASSWORD not in said.out + said.err
    assert names(whalefall) == ["prod"]


def test_a_password_is_the_first_line_of_a_file(whalefall: Whalefall, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("word\r\nnote: not a part of it\n")
    assert whalefall(*ADD, "--password-file", str(file)).code == 0
    assert names(whalefall) == ["prod"]


def test_a_password_is_read_from_standard_input(
    whalefall: Whalefall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("word\n"))
    assert whalefall(*ADD, "--password-file", "-").code == 0
    assert names(whalefall) == ["prod"]


@pytest.mark.usefixtures("whalefall")
def test_without_an_option_the_password_is_asked_for_twice_and_not_echoed() -> None:
    done = CliRunner().invoke(cli, ADD, input=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert done.output.count("Password of whalefall") == 1
    assert done.output.count("Once more") == 1
    assert PASSWORD not in done.output


@pytest.mark.usefixtures("whalefall")
def test_two_different_passwords_are_asked_for_again() -> None:
    done = CliRunner().invoke(cli, ADD, input=f"one\ntwo\n{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert done.output.count("Password of whalefall") == 2


def test_where_nobody_can_answer_it_fails_and_says_what_to_use(
    whalefall: Whalefall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", _nobody)
    monkeypatch.setattr("click.termui.hidden_prompt_func", _nobody)
    said = whalefall(*ADD)
    assert said.code == 1
    assert "nobody is there to answer" in said.err
    assert names(whalefall) == []


def _nobody(*_: object, **__: object) -> str:
    raise EOFError


def test_a_password_given_in_the_place_of_a_variables_name_is_not_repeated(
    whalefall: Whalefall,
) -> None:
    said = whalefall(*ADD, "--password-env", "hunter2!")
    assert said.code == 2
    assert "variable that is not set" in said.told
    assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--password-file", "/nowhere/at/all"), 1, "No such file"),
        (("--password-env", "A", "--password-file", "b"), 2, "exclude each other"),
    ],
)
def test_a_wrong_source_of_the_password_is_named(
    whalefall: Whalefall, options: tuple[str, ...], code: int, told: str
) -> None:
    said = whalefall(*ADD, *options)
    assert (said.code, told in said.err) == (code, True)
    assert names(whalefall) == []


def test_an_empty_password_is_not_stored(whalefall: Whalefall, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    said = whalefall(*ADD, "--password-file", str(tmp_path / "empty"))
    assert (said.code, names(whalefall)) == (1, [])


def test_rotation_and_removal_do_what_they_say(with_credential: Whalefall) -> None:
    rotated = with_credential(
        "credential", "rotate", "prod", "--password-env", "WHALEFALL_PASSWORD_TEST"
    )
    assert (rotated.code, "Replaced" in rotated.err) == (0, True)
    assert with_credential("credential", "remove", "prod").code == 0
    assert names(with_credential) == []
    gone = with_credential("credential", "remove", "prod")
    assert gone.code == 1
    assert "no credential named prod" in gone.err
    assert "whalefall credential list" in gone.err


def test_a_new_key_keeps_every_password_readable(
    with_credential: Whalefall, tmp_path: Path
) -> None:
    before = (tmp_path / "data" / "encryption.key").read_bytes()
    rotated = with_credential("key", "rotate")
    assert (rotated.code, "1 password encrypted" in rotated.err) == (0, True)
    assert (tmp_path / "data" / "encryption.key").read_bytes() != before
    with_credential(
        "instance", "add", "x", "--engine", "mysql", "--host", "/no.sock", "--credential", "prod"
    )
    steps = with_credential("instance", "test", "x", "--json").json["instances"][0]["steps"]
    assert [step["name"] for step in steps] == ["dns", "tcp"]  # it could be decrypted
