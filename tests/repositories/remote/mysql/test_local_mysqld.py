from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pymysql
import pytest

from app.constants.engines import Engine
from app.utils.local_mysqld import ServerDidNotStartError, ServerInstall, start_mysqld
from tests.fixtures.mysql import ROOT, SERVERS, installs

CODE = (
    "import os, sys\nfrom pathlib import Path\n"
    "from app.utils.local_mysqld import find_installs, start_mysqld\n"
    "found = find_installs(Path(sys.argv[1]))\n"
    "install = next(i for i in found if str(i.binary) == sys.argv[2])\n"
    "with start_mysqld(install, Path(sys.argv[3])) as server:\n"
    "    print(server.pid, flush=True)\n"
)


@pytest.fixture
def install() -> ServerInstall:
    found, reason = installs(Engine.MARIADB)
    if not found:
        pytest.skip(reason or "no MariaDB on this machine")
    return found[0]


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_a_server_keeps_its_data_and_ends_with_its_context(
    install: ServerInstall, tmp_path: Path
) -> None:
    for statement in ("CREATE DATABASE kept", "USE kept"):
        with start_mysqld(install, tmp_path / "server") as server:
            connection = pymysql.connect(unix_socket=server.socket, user="root")
            connection.query(statement)
            connection.close()
            assert _lives(server.pid)
        assert not _lives(server.pid)
    assert stat.S_IMODE((tmp_path / "server").stat().st_mode) == 0o700


def test_a_long_path_does_not_matter(install: ServerInstall, tmp_path: Path) -> None:
    with start_mysqld(install, tmp_path / ("long" * 30)) as server:
        assert len(os.fsencode(server.socket)) <= 100


def test_root_cannot_come_through_the_port(install: ServerInstall, tmp_path: Path) -> None:
    with start_mysqld(install, tmp_path / "server", tcp=True) as server:
        assert server.port
        with pytest.raises(pymysql.err.OperationalError):
            pymysql.connect(host="127.0.0.1", port=server.port, user="root")


def test_a_server_that_does_not_start_says_why(install: ServerInstall, tmp_path: Path) -> None:
    with (
        pytest.raises(ServerDidNotStartError, match="no-such-option"),
        start_mysqld(install, tmp_path / "server", options=["--no-such-option"]),
    ):
        pass


def _left_by_a_process_that(ended: str, install: ServerInstall, directory: Path) -> int:
    """Start a server in a process of its own that ends so, and return the server's pid."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            CODE + f"    {ended}\n",
            SERVERS,
            str(install.binary),
            str(directory),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return int(done.stdout)


def test_the_data_of_a_killed_process_can_be_used_at_once(
    install: ServerInstall, tmp_path: Path
) -> None:
    orphan = _left_by_a_process_that("os._exit(0)", install, tmp_path / "server")
    with start_mysqld(install, tmp_path / "server") as server:
        assert server.pid != orphan
        assert not _lives(orphan)
        pymysql.connect(unix_socket=server.socket, user="root").close()


def test_a_server_ends_by_itself_when_its_process_was_killed(
    install: ServerInstall, tmp_path: Path
) -> None:
    orphan = _left_by_a_process_that("os.kill(os.getpid(), 9)", install, tmp_path / "server")
    deadline = time.monotonic() + 20
    while _lives(orphan) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _lives(orphan)
