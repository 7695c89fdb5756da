"""The demo shows the main job on real servers, twice, and leaves nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len

from app.constants.engines import Engine
from app.utils.local_mysqld import find_installs
from tests.fixtures.mysql import SERVERS


def whalefall(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WHALEFALL_")}
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        env={**environment, "WHALEFALL_DATA_DIR": str(data_dir), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_demo_shows_accounts_changes_sizes_forecasts_and_what_was_not_seen(
    public_tmp: Path,
) -> None:
    data_dir = public_tmp / "demo"
    first = whalefall(data_dir, "demo", "--once", "--servers", str(SERVERS))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "payroll was not seen (denied)" in first.stdout
    assert 'GRANT CONNECT ON DATABASE "payroll" TO "whalefall_monitor";' in first.stdout
    assert "! demo-postgresql: mallory: account created" in first.stdout
    assert "was called carol, is called carol_smith" in first.stdout
    assert "are made up, and its tag says so" in first.stderr
    for job in ("partition_management", "capacity_collection", "capacity_aggregation"):
        assert f"{job}_daily" in first.stdout
    grown = [
        line for line in first.stdout.splitlines() if line.startswith("demo-postgresql  orders")
    ]
    assert grown
    assert "+" in grown[0]
    assert re.search(r"orders\s+[\d.]+ MiB\s.*\d+ days", _unwrapped(first.stdout))
    labels = whalefall(data_dir, "instance", "list", "--json").stdout
    assert labels.count("history-generated-before-") == labels.count('"engine"')
    if any(i.engine in (Engine.MARIADB, Engine.MYSQL) for i in find_installs(SERVERS)):
        assert "web@10.0.%: access changed" in first.stdout
    assert max(map(cell_len, (first.stdout + first.stderr).splitlines())) <= 80
    assert "Traceback" not in first.stderr

    second = whalefall(data_dir, "demo", "--once", "--servers", str(SERVERS))
    assert second.returncode == 0, second.stdout + second.stderr
    assert "known from an earlier demo" in second.stderr
    assert "demo-postgresql: mallory: account removed" in second.stdout

    assert not [
        line
        for line in Path("/proc").glob("[0-9]*/cmdline")
        if str(data_dir) in _read(line) and "pytest" not in _read(line)
    ]


def test_the_demo_stands_down_as_soon_as_a_server_of_ones_own_is_registered(
    public_tmp: Path,
) -> None:
    data_dir = public_tmp / "demo"
    secret = public_tmp / "secret"
    secret.write_text("whatever it is")
    for arguments in (
        ["credential", "add", "mine", "--username", "me", "--password-file", str(secret)],
        [
            *["instance", "add", "mine", "--engine", "postgresql", "--host", "127.0.0.1"],
            *["--port", "1", "--credential", "mine"],
        ],
    ):
        said = whalefall(data_dir, *arguments)
        assert said.returncode == 0, said.stderr
    shown = whalefall(data_dir, "demo", "--once", "--servers", str(SERVERS))
    assert "the demo's own stay away" in shown.stderr
    assert "demo-postgresql is disabled" in shown.stderr
    assert shown.returncode == 1  # nothing listens there, and that is said
    assert "1 failed" in shown.stderr


def _unwrapped(text: str) -> str:
    """Put what a narrow column went on with back into its line."""
    return re.sub(r"(database)( .*)\n (orders)", r"\1 \3 \2", text)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
