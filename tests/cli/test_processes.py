from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home(public_tmp: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data directory that does not exist yet, where any account may enter."""
    directory = public_tmp / f"cli-{abs(hash(request.node.name)) % 10**6}"
    yield directory
    deadline = time.monotonic() + 60
    while (directory / "postgresql" / "data" / "postmaster.pid").exists():
        assert time.monotonic() < deadline, "the embedded server outlives its users"
        time.sleep(0.1)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WHALEFALL_")}
    return {**kept, "WHALEFALL_DATA_DIR": str(home), "COLUMNS": "80", "WHALEFALL_PASSWORD_X": "x"}


def whalefall(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


class Up:
    """A ``whalefall up`` of the test's own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up"],
                env=environment,
                stdout=written,
                stderr=written,
            )
        deadline = time.monotonic() + 60
        while "Worker started" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    @property
    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[Up]:
    started = Up(environment, tmp_path / "log")
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.wait(30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_says_where_its_data_is_and_stops_when_it_is_told_to(
    up: Up, home: Path, number: signal.Signals
) -> None:
    said = up.said.replace("\n", "")
    for part in (str(home), "sync_accounts_daily", "no server yet"):
        assert part in said
    up.process.send_signal(number)
    assert up.process.wait(30) == 0
    assert "Stopped." in up.said
    assert "Traceback" not in up.said


def test_commands_work_beside_up_and_its_worker_does_what_they_ask_for(
    up: Up, environment: dict[str, str]
) -> None:
    for arguments in (
        ("credential", "add", "c", "--username", "u", "--password-env", "WHALEFALL_PASSWORD_X"),
        (
            "instance",
            "add",
            "dead",
            "--engine",
            "mysql",
            "--host",
            "nonexistent.invalid",
            "--credential",
            "c",
        ),
    ):
        done = whalefall(environment, *arguments)
        assert done.returncode == 0, done.stderr
    waited = whalefall(environment, "run", "accounts", "--wait", "--json")
    assert waited.returncode == 4, waited.stderr
    assert json.loads(waited.stdout)["items"][0]["instance_name"] == "dead"
    assert up.process.poll() is None


def test_the_first_command_makes_the_embedded_store_and_the_next_one_finds_it(
    environment: dict[str, str],
) -> None:
    first = whalefall(environment, "instance", "list", "--json")
    assert (first.returncode, json.loads(first.stdout)) == (0, {"instances": []}), first.stderr
    assert first.stderr == ""
    again = whalefall(environment, "credential", "list", "--json")
    assert json.loads(again.stdout) == {"credentials": []}


def test_who_reads_only_the_beginning_of_the_output_causes_no_error(
    environment: dict[str, str],
) -> None:
    script = f"{sys.executable} -m app.cli settings --json | head -c 1"
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("{", "")


def test_ctrl_c_ends_a_wait_with_130_and_leaves_the_run_to_go_on(
    up: Up, environment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        for arguments in (
            ("credential", "add", "c", "--username", "u", "--password-env", "WHALEFALL_PASSWORD_X"),
            (
                "instance", "add", "hangs", "--engine", "mysql", "--host", "127.0.0.1",
                "--port", port, "--credential", "c",
            ),
        ):  # fmt: skip
            done = whalefall(environment, *arguments)
            assert done.returncode == 0, done.stderr
        waiting = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "run", "accounts", "--wait"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert waiting.stderr is not None
        first = waiting.stderr.readline()
        assert "0/" in first, first
        waiting.send_signal(signal.SIGINT)
        _, told = waiting.communicate(timeout=60)
        assert waiting.returncode == 130, told
        assert "goes on without you" in " ".join(told.split())
        shown = whalefall(environment, "runs", "show", "1", "--json")
        assert json.loads(shown.stdout)["state"] in {"queued", "running", "failed"}
    assert up.process.poll() is None
