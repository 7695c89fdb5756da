"""A MySQL or MariaDB server of our own: found, initialised, started on a socket, always stopped.

Used by the demo fleet and by the tests. Nothing is installed and nothing listens outside this
machine: a Unix socket in a directory of mode 0700, and a loopback port only if asked for. The
account ``root@localhost`` has no password and can only come through that socket.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from app.constants.engines import Engine

LONGEST_SOCKET_PATH = 100
"""The system allows 107 bytes; MySQL adds ``.lock`` to the name."""
_SMALL = (
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=2",
    "--key-buffer-size=1M",
    "--max-connections=100",
)
_OWN = {
    Engine.MYSQL: ("--mysqlx=OFF", "--innodb-redo-log-capacity=8M", "--secure-file-priv=NULL"),
    Engine.MARIADB: ("--innodb-log-file-size=10M", "--aria-pagecache-buffer-size=8M"),
}
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin")


class ServerDidNotStartError(Exception):
    """A server did not come up; the message ends with the last lines of its error log."""


@dataclass(frozen=True)
class ServerInstall:
    """The files of one server: whether installed or only unpacked somewhere."""

    engine: Engine
    version: str
    binary: Path
    usr: Path
    """What stands for ``/usr``: its messages, character sets and SQL files lie below it."""

    @property
    def share(self) -> Path:
        """Return the folder of its messages, character sets and SQL files."""
        folders = [self.usr / "share" / name for name in ("mariadb", "mysql")]
        return next((folder for folder in folders if (folder / "charsets").is_dir()), folders[-1])


@dataclass(frozen=True)
class LocalServer:
    """A running server and where it answers."""

    install: ServerInstall
    socket: str
    port: int | None
    pid: int
    error_log: Path


def find_installs(servers: Path | None = None) -> list[ServerInstall]:
    """Return the servers in a folder filled by ``tools/fetch_servers.py``, then the system's own.

    Newest first among those of the folder. An empty list means that there are none.
    """
    found = []
    for marker in servers.absolute().glob("*/server.json") if servers else ():
        said = json.loads(marker.read_text())
        if said["engine"] in (Engine.MYSQL, Engine.MARIADB):
            name = "mariadbd" if said["engine"] == Engine.MARIADB else "mysqld"
            binary = marker.parent / said["binaries"][name]
            found.append(
                ServerInstall(
                    Engine(said["engine"]), said["version"], binary, marker.parent / "usr"
                )
            )
    found.sort(key=lambda install: _numbers(install.version), reverse=True)
    seen = set()
    for name in ("mariadbd", "mysqld"):
        path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_PLACES)))
        if path is not None and (real := Path(path).resolve()) not in seen:
            seen.add(real)
            installed = _ask_version(Path(path))
            if installed is not None:
                found.append(installed)
    return found


def find_install(engine: Engine, servers: Path | None = None) -> ServerInstall | None:
    """Return the first server of an engine that ``find_installs`` knows."""
    return next((i for i in find_installs(servers) if i.engine is engine), None)


@contextmanager
def start_mysqld(
    install: ServerInstall,
    directory: Path,
    *,
    tcp: bool = False,
    options: Sequence[str] = (),
    wait_seconds: float = 60.0,
) -> Iterator[LocalServer]:
    """Run a server on the data in ``directory`` as long as the context lasts.

    The directory is made, and the data initialised, if they are not there. A server that an earlier
    process of ours left running on the same data is stopped first.

    Raises:
        ServerDidNotStartError: with the tail of the server's error log.

    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = directory / "data"
    log = directory / "error.log"
    pid_file = directory / "server.pid"
    _stop_leftover(pid_file, data)
    if not (directory / "initialised").exists():
        shutil.rmtree(data, ignore_errors=True)
        _initialise(install, data, log)
        (directory / "initialised").touch()
    path, short = directory / "server.sock", None
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        short = Path(tempfile.mkdtemp(prefix="whalefall-"))
        path = short / "server.sock"
    port = _free_port() if tcp else None
    network = (
        ["--skip-networking"] if port is None else ["--bind-address=127.0.0.1", f"--port={port}"]
    )
    # fmt: off
    command = [*_command(install, data), *network, f"--socket={path}", f"--pid-file={pid_file}",
               f"--log-error={log}", *_SMALL, *_OWN[install.engine], *options]
    # fmt: on
    process = _spawn(command, log)
    try:
        with _stopped_if_we_are_killed(process.pid):
            _wait_until_it_answers(process, path, log, wait_seconds)
            yield LocalServer(install, str(path), port, process.pid, log)
    finally:
        _stop(process)
        if short is not None:
            shutil.rmtree(short, ignore_errors=True)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _ask_version(binary: Path) -> ServerInstall | None:
    """Return an install of the system by what its binary says; None if it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - a path that we found, no shell
            [str(binary), "--no-defaults", "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"Ver (\d+\.\d+\.\d+)", done.stdout)
    if done.returncode != 0 or version is None:
        return None
    engine = Engine.MARIADB if "MariaDB" in done.stdout else Engine.MYSQL
    return ServerInstall(engine, version[1], binary, binary.resolve().parents[1])


def _command(install: ServerInstall, data: Path) -> list[str]:
    """Return the words that every start of this server begins with."""
    command = [
        str(install.binary),
        "--no-defaults",
        f"--basedir={install.usr}",
        f"--datadir={data}",
        f"--lc-messages-dir={install.share}",
        f"--character-sets-dir={install.share / 'charsets'}",
    ]
    if os.geteuid() == 0:
        command.append("--user=root")
    return command


def _spawn(
    command: list[str], log: Path, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a server apart from our terminal, so that Ctrl-C reaches only us."""
    try:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - a server that we found, no shell
                command, stdin=stdin, stdout=output, stderr=output, start_new_session=True
            )
    except OSError as exc:
        raise ServerDidNotStartError(f"{command[0]}: {exc}") from exc


def _initialise(install: ServerInstall, data: Path, log: Path) -> None:
    """Fill an empty data directory with the system tables and ``root@localhost``."""
    small = ["--innodb-buffer-pool-size=32M", *_OWN[install.engine]]
    if install.engine is Engine.MYSQL:
        process = _spawn([*_command(install, data), "--initialize-insecure", *small], log)
        process.wait()
    else:
        data.mkdir(mode=0o700)
        # fmt: off
        process = _spawn([*_command(install, data), "--bootstrap", "--silent-startup",
                          "--skip-grant-tables", *small], log, subprocess.PIPE)
        # fmt: on
        process.communicate(_bootstrap_sql(install.share).encode())
    if process.returncode != 0:
        raise ServerDidNotStartError(_failure("cannot initialise its data", process, log))


def _bootstrap_sql(share: Path) -> str:
    """Return what mariadb-install-db feeds to the server, with one root account only."""
    wanted = ("system_tables", "performance_tables", "system_tables_data", "sys_schema")
    found = [share / f"{engine}_{name}.sql" for name in wanted for engine in ("mariadb", "mysql")]
    return "\n".join(
        [
            "CREATE DATABASE IF NOT EXISTS mysql;",
            "USE mysql;",
            "SET @skip_auth_anonymous = 1;",
            "SET @auth_root_socket = NULL;",
            *(path.read_text() for path in found if path.exists()),
            "DELETE FROM mysql.global_priv WHERE User IN ('root', '') AND Host <> 'localhost';",
            "",
        ]
    )


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], path: Path, log: Path, wait_seconds: float
) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        if process.poll() is not None:
            raise ServerDidNotStartError(_failure("did not start", process, log))
        if _listens(path):
            try:
                pymysql.connect(unix_socket=str(path), user="root", connect_timeout=5).close()
            except pymysql.err.OperationalError as exc:
                if 1000 <= exc.args[0] < 2000:  # the server's own codes: it answers
                    return
            else:
                return
        if time.monotonic() > deadline:
            raise ServerDidNotStartError(_failure("does not answer", process, log))
        time.sleep(0.05)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _failure(what: str, process: subprocess.Popen[bytes], log: Path) -> str:
    command = process.args[0] if isinstance(process.args, list) else "the server"
    tail = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
    return "\n".join([f"{command!s} {what} (exit code {process.poll()}):", *tail])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _stopped_if_we_are_killed(pid: int) -> Iterator[None]:
    """Have the server stopped even by a kill -9 of this process, which nobody can catch.

    A shell waits for the end of a pipe that only we hold open.
    """
    script = 'cat >/dev/null; kill -TERM "$1" 2>/dev/null'
    with subprocess.Popen(  # noqa: S603 - fixed words and a number
        ["/bin/sh", "-c", script, "sh", str(pid)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watcher:
        try:
            yield
        finally:
            watcher.kill()  # before its pipe ends: stopping the server is our own business now


def _stop_leftover(pid_file: Path, data: Path) -> None:
    """Stop the server that a killed process of ours left on this data, and no other one."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if f"--datadir={data}".encode() not in command.split(b"\0"):
        return
    for number, seconds in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        try:
            os.kill(pid, number)
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
