from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.config import Settings
from app.services.log_centre.shipping import LogWriter
from app.utils.log_queue import Entry
from app.utils.log_spill import Producer
from tests.cli.conftest import Whalefall

Say = Callable[..., None]


@pytest.fixture
def say(store_url: str, tmp_path: Path) -> Say:
    """Write entries as a process does: each is (seconds ago, level, event, fields)."""
    writer = LogWriter(Settings(database_url=store_url, data_dir=tmp_path), store_url)

    def write(*told: tuple[float, str, str, dict[str, Any]]) -> None:
        entries = [
            Entry(
                number,
                json.dumps(
                    {
                        "timestamp": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(),
                        "level": level,
                        "logger": "whalefall",
                        "module": "task_runs",
                        "event": event,
                        **fields,
                    }
                ).encode(),
            )
            for number, (ago, level, event, fields) in enumerate(told, 1)
        ]
        writer.write(Producer(), entries, 0)
        writer.close()

    return write


@pytest.fixture
def servers(store_url: str) -> dict[str, int]:
    """Three servers that were registered, by name."""
    with psycopg.connect(store_url.replace("+psycopg", "", 1)) as connection:
        return dict(
            connection.execute(
                "INSERT INTO instances (name, engine, host, port, removed_at)"
                " SELECT unnest(ARRAY['orders', 'shop', 'crm']), 'postgresql', 'h', 1, now()"
                " RETURNING name, id"
            ).fetchall()
        )


def events(answer: Any) -> list[str]:
    return [entry["event"] for entry in answer["entries"]]


def test_tail_shows_the_latest_entries_oldest_first(whalefall: Whalefall, say: Say) -> None:
    say(*[(100 - number, "info", f"event {number}", {"n": number}) for number in range(80)])
    shown = whalefall("logs", "tail", "-n", "3")
    assert shown.code == 0, shown.err
    assert [line.split(": ")[1] for line in shown.out.splitlines()[::2]] == [
        "event 77",
        "event 78",
        "event 79",
    ]
    assert "    n=79" in shown.out
    assert len(whalefall("logs", "tail", "--json").json["entries"]) == 50


def test_tail_says_how_far_back_it_looked(whalefall: Whalefall, say: Say) -> None:
    say((86400 * 9, "info", "long ago", {}))
    assert "--since 30d" in whalefall("logs", "tail").told
    assert events(whalefall("logs", "tail", "--since", "10d", "--json").json) == ["long ago"]


def test_entries_can_be_narrowed_to_what_matters(
    whalefall: Whalefall, say: Say, servers: dict[str, int]
) -> None:
    say(
        (9, "debug", "detail", {}),
        (8, "info", "begun", {"run_id": 12}),
        (7, "warning", "slow", {"instance_id": servers["orders"]}),
        (6, "error", "failed", {"instance_id": servers["shop"], "run_id": 12}),
        (5, "critical", "broken", {"module": "worker", "logger": "some.library"}),
    )

    def tail(*options: str) -> list[str]:
        return events(whalefall("logs", "tail", "--json", *options).json)

    assert tail() == ["detail", "begun", "slow", "failed", "broken"]
    assert tail("--level", "info") == ["begun", "slow", "failed", "broken"]
    assert tail("--level", "warning") == ["slow", "failed", "broken"]
    assert tail("--level", "error") == ["failed", "broken"]
    assert tail("--level", "critical") == ["broken"]
    assert tail("--run", "12") == ["begun", "failed"]
    assert tail("--instance", "orders") == ["slow"]
    assert tail("--module", "worker") == ["broken"]
    assert tail("--module", "some") == ["broken"]
    assert tail("--module", "som") == []
    unknown = whalefall("logs", "tail", "--instance", "nobody")
    assert unknown.code == 1
    assert "there is no instance named nobody" in unknown.told


def test_search_finds_words_in_event_fields_traceback_and_the_servers_name(
    whalefall: Whalefall, say: Say, servers: dict[str, int]
) -> None:
    say(
        (9, "info", "采集完成 100%", {}),
        (8, "info", "a", {"error": "Connection REFUSED"}),
        (7, "error", "b", {"exception": "Traceback\nValueError: no_such_thing"}),
        (6, "info", "c", {"instance_id": servers["crm"]}),
        (90_000, "info", "connection long ago", {}),
    )

    def search(*words: str) -> list[str]:
        return events(whalefall("logs", "search", "--json", *words).json)

    assert search("connection refused") == ["a"]
    assert search("采集") == ["采集完成 100%"]
    assert search("100%") == ["采集完成 100%"]
    assert search("%") == ["采集完成 100%"]
    assert search("such_thing") == ["b"]
    assert search("crm") == ["c"]
    assert search("connection") == ["a"]
    assert search("connection", "--since", "2d") == ["a", "connection long ago"]
    until = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    assert search("connection", "--until", until) == ["connection long ago"]
    assert "Further back: --since" in whalefall("logs", "search", "nothing like it").told


def test_a_long_list_goes_on_where_it_ended(whalefall: Whalefall, say: Say) -> None:
    say(*[(10, "info", f"{number}", {}) for number in range(25)])
    found: list[str] = []
    before: list[str] = []
    while True:
        page = whalefall("logs", "search", "--limit", "10", "--json", *before).json
        found += events(page)
        if not page["next_before"]:
            break
        before = ["--before", page["next_before"]]
    assert found == [str(number) for number in range(24, -1, -1)]
    assert "--before" in whalefall("logs", "search", "--limit", "10").told
    wrong = whalefall("logs", "search", "--before", "here")
    assert wrong.code == 1
    assert "'here' is no place in the log" in wrong.told


def test_the_same_error_of_many_servers_is_one_group(
    whalefall: Whalefall, say: Say, servers: dict[str, int]
) -> None:
    refused = [
        (
            100.0 - number,
            "warning",
            "Item failed",
            {
                "instance_id": server,
                "error": f'connection to server at "{name}", port {5432 + number} failed: refused',
            },
        )
        for number, (name, server) in enumerate([*servers.items(), ("orders", servers["orders"])])
    ]
    say(*refused, (5, "error", "Item failed", {"error": "out of disk"}), (4, "info", "fine", {}))
    groups = whalefall("logs", "groups", "--json").json["groups"]
    assert [(group["entry_count"], group["instance_count"]) for group in groups] == [(4, 3), (1, 0)]
    assert groups[0]["error"].startswith('connection to server at "orders"')
    assert groups[0]["first_at"] < groups[0]["last_at"]
    shown = whalefall("logs", "groups")
    assert "4 × on 3 servers  warning  task_runs: Item failed" in shown.out
    assert shown.widest <= 80
    of_group = whalefall("logs", "tail", "--group", groups[0]["group"], "--json").json
    assert len(of_group["entries"]) == 4
    assert len(whalefall("logs", "groups", "--level", "error", "--json").json["groups"]) == 1
    assert whalefall("logs", "tail", "--group", "zzz").code == 1


def test_everything_fits_80_columns_and_nothing_steers_the_terminal(
    whalefall: Whalefall, say: Say
) -> None:
    say(
        (3, "error", "\x1b[2Jevent " + "long " * 40, {"error": "鲸" * 100, "exception": "T\nE: x"}),
        (2, "info", "ok", {"nested": {"a": [1, 2, 3]}}),
    )
    for arguments in (("tail",), ("search", "e"), ("groups",), ("retention",)):
        shown = whalefall("logs", *arguments)
        assert shown.code == 0, shown.err
        assert shown.widest <= 80, shown.out
        assert "\x1b" not in shown.out
    assert "E: x" in whalefall("logs", "tail").out
    assert "T\n" in whalefall("logs", "tail", "--wide").out


def test_retention_shows_what_is_configured_and_what_there_is(
    whalefall: Whalefall, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    say((86400 * 3, "error", "failed", {}))
    monkeypatch.setenv("WHALEFALL_RETENTION", '{"task_runs": {"days": 7, "rows": 1000}}')
    rows = {row["name"]: row for row in whalefall("logs", "retention", "--json").json["retention"]}
    assert (rows["task_runs"]["keep_days"], rows["task_runs"]["keep_rows"]) == (7, 1000)
    assert rows["log_entries_error"]["keep_days"] == 400
    assert rows["log_entries_error"]["kept_days"] == 3.0
    shown = whalefall("logs", "retention").out
    assert "7 d, 1,000 rows" in shown


def test_followed_entries_come_once_each_however_late_they_were_said(
    whalefall: Whalefall, say: Say
) -> None:
    say((60, "info", "first", {}))
    whalefall("logs", "tail")
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "logs", "tail", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "first"
        say((30, "info", "said before, arrived later", {}), (1, "error", "now", {}))
        assert json.loads(process.stdout.readline())["event"] == "said before, arrived later"
        assert json.loads(process.stdout.readline())["event"] == "now"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert rest == ""
    assert process.returncode == 130


def test_what_a_command_that_works_does_is_in_the_log_centre(fleet: Whalefall) -> None:
    assert fleet("run", "accounts", "--wait").code == 0
    told = fleet("logs", "tail", "--run", "1", "--json").json["entries"]
    assert [entry["event"] for entry in told][:1] == ["开始账户同步任务"]
    assert "账户同步任务完成" in [entry["event"] for entry in told]
    assert {entry["run_id"] for entry in told} == {1}


def test_a_command_that_only_answers_sends_nothing(whalefall: Whalefall, store_url: str) -> None:
    whalefall("accounts", "list")
    whalefall("accounts", "show", "nobody", "nobody")
    with psycopg.connect(store_url.replace("+psycopg", "", 1)) as connection:
        assert connection.execute("SELECT count(*) FROM log_producers").fetchone() == (0,)
