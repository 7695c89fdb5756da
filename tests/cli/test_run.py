from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.config import Settings
from app.worker import run_worker
from tests.cli.conftest import Said, Whalefall
from tests.fixtures.postgresql import PostgresqlServer


def add_dead(whalefall: Whalefall, name: str = "dead") -> None:
    said = whalefall(
        "instance",
        "add",
        name,
        "--engine",
        "postgresql",
        "--host",
        "nonexistent.invalid",
        "--credential",
        "pg",
    )
    assert said.code == 0, said.err


def test_a_run_that_is_waited_for_shows_how_far_it_is_and_ends_with_its_outcome(
    fleet: Whalefall, postgresql: PostgresqlServer
) -> None:
    postgresql.run("CREATE ROLE alice LOGIN SUPERUSER", "CREATE ROLE readers")
    done = fleet("run", "accounts", "--wait")
    assert done.code == 0, done.out + done.err
    assert "1/1 done" in done.told
    assert "Run 1 of sync_accounts: succeeded" in done.out
    assert done.widest <= 80
    listed = fleet("accounts", "list", "--json").json
    assert {"alice", "readers"} <= {row["name"] for row in listed["accounts"]}
    assert listed["next_after"] is None
    shown = fleet("accounts", "show", "orders", "alice")
    assert "privileged: " in shown.out
    assert fleet("accounts", "list", "--privileged").out.count("alice") == 1

    postgresql.run("DROP ROLE readers", "CREATE ROLE bob LOGIN")
    assert fleet("run", "sync_accounts", "--wait", "--json").json["state"] == "succeeded"
    changes = fleet("accounts", "changes", "--json").json["changes"]
    assert {row["account"] for row in changes} >= {"bob", "readers"}
    assert all(row["occurred_at"].endswith("Z") for row in changes)
    for arguments in (("accounts", "changes"), ("accounts", "overview"), ("accounts", "held")):
        said = fleet(*arguments)
        assert (said.code, said.widest <= 80) == (0, True)


def test_a_list_of_accounts_goes_on_where_it_ended(
    fleet: Whalefall, postgresql: PostgresqlServer
) -> None:
    postgresql.run(*[f"CREATE ROLE r{number}" for number in range(7)])
    fleet("run", "accounts", "--wait")
    every = [
        row["name"] for row in fleet("accounts", "list", "--limit", "0", "--json").json["accounts"]
    ]
    seen: list[str] = []
    after: str | None = None
    while True:
        more = ("--after", after) if after else ()
        page = fleet("accounts", "list", "--limit", "3", "--json", *more).json
        seen += [row["name"] for row in page["accounts"]]
        after = page["next_after"]
        if after is None:
            break
    assert seen == every
    assert fleet("accounts", "list", "--after", "nonsense").code == 2


def test_an_unknown_account_says_where_to_look(fleet: Whalefall) -> None:
    said = fleet("accounts", "show", "orders", "nobody")
    assert said.code == 1
    assert "whalefall accounts list --instance orders" in said.told
    assert fleet("accounts", "confirm-removal", "orders", "--yes").code == 1


def test_a_run_of_which_one_server_failed_is_partial_or_failed_and_only_that_one_is_retried(
    fleet: Whalefall,
) -> None:
    add_dead(fleet)
    mixed = fleet("run", "accounts", "--wait")
    assert mixed.code == 3, mixed.out + mixed.err
    failed = fleet("run", "accounts", "--instance", "dead", "--wait")
    assert failed.code == 4, failed.out + failed.err
    assert "nonexistent.invalid" in failed.out
    again = fleet("runs", "retry", "1", "--wait", "--json")
    assert again.code == 4
    assert [item["instance_name"] for item in again.json["items"]] == ["dead"]
    assert again.json["retry_of_id"] == 1
    only_good = fleet("run", "accounts", "--tag", "good", "--wait", "--json")
    assert (only_good.code, only_good.json["item_count"]) == (0, 1)
    nothing = fleet("runs", "retry", str(only_good.json["id"]))
    assert (nothing.code, "no instance failed" in nothing.told) == (1, True)

    runs = fleet("runs", "list", "--json").json["runs"]
    assert [run["state"] for run in runs] == ["succeeded", "failed", "failed", "partial"]
    assert [
        r["id"] for r in fleet("runs", "list", "--state", "partial", "--json").json["runs"]
    ] == [1]
    assert (
        fleet("runs", "list", "--task", "accounts", "--limit", "1", "--json").json["next_before"]
        == 4
    )
    items = fleet("runs", "show", "1", "--state", "failed", "--json").json["items"]
    assert [item["instance_name"] for item in items] == ["dead"]
    for arguments in (("runs", "list"), ("runs", "show", "1")):
        assert fleet(*arguments).widest <= 80


def test_a_run_that_is_only_asked_for_waits_for_a_worker_and_can_be_cancelled(
    fleet: Whalefall,
) -> None:
    asked = fleet("run", "accounts", "--json")
    assert (asked.code, asked.json) == (0, {"run_id": 1, "created": True})
    assert "No worker is up" in asked.told
    second = fleet("run", "accounts", "--json")
    assert second.json == {"run_id": 1, "created": False}
    assert fleet("runs", "cancel", "1").code == 0
    assert fleet("runs", "show", "1", "--json").json["state"] == "cancelled"
    assert fleet("runs", "show", "1", "--follow").code == 5
    ended = fleet("runs", "cancel", "1")
    assert (ended.code, "has ended" in ended.told) == (1, True)


def test_a_worker_that_is_up_does_the_work_of_whoever_waits(
    fleet: Whalefall, store_url: str, tmp_path: Path
) -> None:
    stop = threading.Event()
    app = create_app(
        Settings(database_url=store_url, data_dir=tmp_path / "data", log_level="ERROR")
    )
    worker = threading.Thread(target=run_worker, args=(app, stop))
    worker.start()
    try:
        done = fleet("run", "accounts", "--wait")
    finally:
        stop.set()
        worker.join()
        with app.app_context():
            from app.models import db

            db.engine.dispose()
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("run", "nonsense"), 2, "There are: "),
        (("run", "accounts", "--instance", "nope"), 1, "no instance named nope"),
        (("run", "accounts", "--tag", "nope"), 1, "no enabled instance carries"),
        (("runs", "show", "99"), 1, "no run 99"),
        (("runs", "retry", "99"), 1, "no run 99"),
        (("runs", "show", "x"), 2, "not a valid integer"),
    ],
)
def test_what_does_not_exist_is_named_with_what_to_do(
    whalefall: Whalefall, arguments: tuple[str, ...], code: int, told: str
) -> None:
    said: Said = whalefall(*arguments)
    assert (said.code, told in said.told, said.out) == (code, True, "")
    assert "Traceback" not in said.err


def test_a_schedule_is_shown_changed_paused_and_put_back(whalefall: Whalefall) -> None:
    def listed() -> dict[str, Any]:
        jobs: list[dict[str, Any]] = whalefall("jobs", "list", "--json").json["jobs"]
        return {job["job_id"]: job for job in jobs}["sync_accounts_daily"]

    job = listed()
    assert (job["cron"], job["paused"], job["overridden"]) == ("0 2 * * *", False, False)
    assert whalefall("jobs", "set-cron", "sync_accounts_daily", "30 3 * * *").code == 0
    assert "03:30" in whalefall("jobs", "list").out
    assert whalefall("jobs", "pause", "sync_accounts_daily").code == 0
    assert listed()["next_fire_at"] is None
    assert whalefall("jobs", "resume", "sync_accounts_daily").code == 0
    assert whalefall("jobs", "set-cron", "sync_accounts_daily", "--default").code == 0
    assert listed()["cron"] == "0 2 * * *"
    wrong = whalefall("jobs", "set-cron", "sync_accounts_daily", "61 * * * *")
    assert (wrong.code, "Traceback" in wrong.err) == (1, False)
    assert whalefall("jobs", "set-cron", "sync_accounts_daily").code == 2
    assert whalefall("jobs", "pause", "nope").code == 1


def test_settings_are_shown_without_the_password_of_the_store(
    whalefall: Whalefall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHALEFALL_DATABASE_URL", "postgresql://u:hunter2@h/db?password=hunter2&a=b")
    for arguments in (("settings",), ("settings", "--json"), ("settings", "--wide")):
        said = whalefall(*arguments)
        assert said.code == 0
        assert "hunter2" not in said.out + said.err
    settings = whalefall("settings", "--json").json["settings"]
    assert {"name", "value", "set", "description"} == set(settings[0])
    assert whalefall("settings").widest <= 80


def test_a_wrong_setting_is_told_in_words(
    whalefall: Whalefall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHALEFALL_TIMEZONE", "Mars/Olympus")
    said = whalefall("instance", "list")
    assert (said.code, "WHALEFALL_TIMEZONE" in said.told) == (1, True)
    monkeypatch.delenv("WHALEFALL_TIMEZONE")
    monkeypatch.setenv("WHALEFALL_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    said = whalefall("instance", "list")
    assert (said.code, "cannot be reached" in said.told) == (1, True)
    assert "hunter2" not in said.err


def test_a_store_that_was_never_migrated_says_which_command_does_it(
    whalefall: Whalefall, empty_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHALEFALL_DATABASE_URL", empty_store_url)
    for arguments in (("instance", "list"), ("worker",), ("scheduler",)):
        said = whalefall(*arguments)
        assert (said.code, "whalefall db upgrade" in said.told) == (1, True)
    upgraded = whalefall("db", "upgrade")
    assert (upgraded.code, "Upgraded" in upgraded.told) == (0, True)
    assert "already" in whalefall("db", "upgrade").told
    assert whalefall("instance", "list").code == 0


def test_an_unexpected_error_is_one_line_unless_debugging(
    whalefall: Whalefall, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")
    said = whalefall("instance", "list")
    assert (said.code, "Traceback" in said.err) == (1, False)
    monkeypatch.setenv("WHALEFALL_LOG_LEVEL", "DEBUG")
    assert "Traceback" in whalefall("instance", "list").err
