from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.root import cli
from tests.cli.conftest import Whalefall

LONG = "订单系统-" + "x" * 57


def add(whalefall: Whalefall, name: str, *options: str, engine: str = "postgresql") -> None:
    said = whalefall(
        "instance", "add", name, "--engine", engine, "--host", f"{name.lower()[:20]}.example.com",
        "--credential", "prod", *options,
    )  # fmt: skip
    assert said.code == 0, said.err


def names(whalefall: Whalefall, *filters: str) -> list[str]:
    return [i["name"] for i in whalefall("instance", "list", "--json", *filters).json["instances"]]


def test_what_was_added_is_listed_and_shown(with_credential: Whalefall) -> None:
    add(with_credential, "orders", "--tag", "prod", "--tag", "eu", "--port", "6432")
    row = with_credential("instance", "list", "--json").json["instances"][0]
    assert (row["name"], row["port"], row["tags"], row["tls_mode"], row["state"]) == (
        "orders", 6432, ["eu", "prod"], "verify-full", "enabled",
    )  # fmt: skip
    assert row["created_at"].endswith("Z")
    assert with_credential("instance", "show", "orders", "--json").json == row
    shown = with_credential("instance", "show", "orders")
    assert "orders.example.com" in shown.out
    assert "not read yet" in shown.out


def test_lists_are_filtered_by_tag_engine_and_state(with_credential: Whalefall) -> None:
    add(with_credential, "a", "--tag", "prod", "--tag", "eu")
    add(with_credential, "b", "--tag", "prod", "--disabled")
    add(with_credential, "c", engine="mysql")
    assert names(with_credential) == ["a", "b", "c"]
    assert names(with_credential, "--tag", "prod") == ["a", "b"]
    assert names(with_credential, "--tag", "prod", "--tag", "eu") == ["a"]
    assert names(with_credential, "--engine", "mysql") == ["c"]
    assert names(with_credential, "--state", "disabled") == ["b"]
    assert names(with_credential, "--state", "removed") == []


def test_no_list_is_wider_than_the_terminal_and_a_long_name_is_still_whole(
    with_credential: Whalefall,
) -> None:
    add(with_credential, LONG, "--tag", "a-very-long-tag-that-nobody-needs", "--tag", "prod")
    said = with_credential("instance", "list")
    assert said.widest <= 80
    lines = said.out.splitlines()
    assert LONG in "".join(line.split("  ")[0].strip() for line in lines[1:])
    assert "--wide shows everything" in said.told
    wide = with_credential("instance", "list", "--wide")
    assert LONG in wide.out
    assert "a-very-long-tag-that-nobody-needs" in wide.out
    assert wide.err == ""


def test_nothing_is_coloured_where_there_is_no_terminal(with_credential: Whalefall) -> None:
    add(with_credential, "orders")
    for arguments in (
        ("instance", "list"),
        ("instance", "show", "nope"),
        ("instance", "test", "orders"),
    ):
        said = with_credential(*arguments)
        assert "\x1b" not in said.out + said.err


def test_editing_changes_only_what_was_given(with_credential: Whalefall) -> None:
    add(with_credential, "orders", "--tag", "prod", "--database", "app", "--port", "6432")
    edited = with_credential(
        "instance", "edit", "orders", "--host", "10.0.0.9", "--name", "orders-2"
    )
    assert edited.code == 0, edited.err
    row = with_credential("instance", "show", "orders-2", "--json").json
    assert (row["host"], row["port"], row["tags"], row["database"]) == (
        "10.0.0.9",
        6432,
        ["prod"],
        "app",
    )
    assert with_credential("instance", "edit", "orders-2", "--no-tags", "--no-database").code == 0
    row = with_credential("instance", "show", "orders-2", "--json").json
    assert (row["tags"], row["database"]) == ([], None)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ((), 2, "nothing to change"),
        (("--tag", "a", "--no-tags"), 2, "exclude each other"),
        (("--host", "u:hunter2@h"), 1, "credential"),
        (("--port", "0"), 1, "1 to 65535"),
        (("--credential", "other"), 1, "whalefall credential add other"),
        (("--tls-ca", "/nowhere"), 1, "No such file"),
        (("--tls", "on"), 2, "verify-full"),
    ],
)
def test_a_value_that_does_not_fit_says_what_to_write(
    with_credential: Whalefall, options: tuple[str, ...], code: int, told: str
) -> None:
    add(with_credential, "orders")
    before = with_credential("instance", "show", "orders", "--json").json
    said = with_credential("instance", "edit", "orders", *options)
    assert said.code == code
    assert told in said.told
    assert "hunter2" not in said.err
    assert "Traceback" not in said.err
    assert with_credential("instance", "show", "orders", "--json").json == before


def test_disabled_servers_take_no_part_until_they_are_enabled(with_credential: Whalefall) -> None:
    add(with_credential, "a")
    add(with_credential, "b")
    assert with_credential("instance", "disable", "a", "b").code == 0
    assert names(with_credential, "--state", "disabled") == ["a", "b"]
    said = with_credential("run", "accounts", "--instance", "a")
    assert (said.code, "whalefall instance enable a" in said.err) == (1, True)
    assert with_credential("instance", "enable", "b").code == 0
    assert names(with_credential, "--state", "enabled") == ["b"]


def test_removal_asks_says_what_it_keeps_and_frees_the_name(with_credential: Whalefall) -> None:
    add(with_credential, "orders")
    refused = CliRunner().invoke(cli, ["instance", "remove", "orders"], input="n\n")
    assert refused.exit_code == 1
    assert "Kept: its history, 0 accounts, and credential prod" in " ".join(refused.output.split())
    assert names(with_credential) == ["orders"]
    assert with_credential("instance", "remove", "orders", "--yes").code == 0
    assert names(with_credential) == []
    assert names(with_credential, "--state", "removed") == ["orders"]
    add(with_credential, "orders")
    assert names(with_credential) == ["orders"]


def test_a_second_server_of_the_same_name_is_refused(with_credential: Whalefall) -> None:
    add(with_credential, "orders")
    said = with_credential(
        "instance", "add", "orders", "--engine", "mysql", "--host", "h", "--credential", "prod"
    )
    assert said.code == 1
    assert "exists already" in said.err
    assert "whalefall instance edit orders" in said.err


def test_an_import_judges_every_line_and_is_all_or_nothing(
    with_credential: Whalefall, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text(
        "name,engine,host,credential\na,mysql,h,prod\nb,oracle,h,prod\na,mysql,h,prod\n"
    )
    dry = with_credential("instance", "import", str(file), "--dry-run", "--json")
    assert [line["ok"] for line in dry.json["lines"]] == [True, False, False]
    assert (dry.code, dry.json["added"]) == (1, 0)
    refused = with_credential("instance", "import", str(file))
    assert refused.code == 1
    assert refused.widest <= 80
    assert "line 3: engine 'oracle' is not known" in refused.err
    assert "line 4: a stands on line 2 already" in refused.err
    assert names(with_credential) == []
    partly = with_credential("instance", "import", str(file), "--skip-bad")
    assert (partly.code, names(with_credential)) == (1, ["a"])
    again = with_credential("instance", "import", str(file), "--skip-bad")
    assert "a is registered already" in again.err
    missing = with_credential("instance", "import", str(tmp_path / "none.csv"))
    assert (missing.code, "No such file" in missing.err) == (1, True)
