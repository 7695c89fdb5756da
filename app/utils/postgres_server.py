"""One PostgreSQL server: made, started, stopped, found again. Standard library only.

For root, every program runs as the owner of the directory that it works on: PostgreSQL refuses to
be root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120
STOP_SECONDS = 60
MARK = "WHALEFALL_TEST_MARK"


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot do what is asked; the message says what to do."""


@dataclass(frozen=True)
class Postmaster:
    """A server process, as its own pid file tells."""

    pid: int
    port: int
    socket_directory: str
    ready: bool


def initialise(
    bin_dir: Path,
    data_dir: Path,
    *,
    superuser: str,
    hba: Sequence[str],
    ident: Sequence[str] = (),
    locale: Sequence[str] = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    database: str | None = None,
    durable: bool = True,
) -> None:
    """Make a new UTF-8 cluster at ``data_dir``, whole or not at all.

    Run as root, the cluster belongs to the owner of the directory around it, never to root.

    Args:
        bin_dir: where initdb and postgres are.
        data_dir: must not exist yet.
        superuser: name of the first role.
        hba: lines of pg_hba.conf: who may log in and how.
        ident: lines of pg_ident.conf.
        locale: options of initdb besides ``--locale=C``.
        database: one to create in it.
        durable: whether to wait until the files are on the disk.

    """
    draft = data_dir.with_name(data_dir.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    owner = data_dir.parent
    options: list[str] = ["-U", superuser, "-E", "UTF8", "--locale=C", *locale, "--no-instructions"]
    options += ["-A", "reject", *([] if durable else ["--no-sync"])]
    _run([str(bin_dir / "initdb"), "-D", str(draft), *options], owner, "create")
    if database:
        statement = f'CREATE DATABASE "{database}" OWNER "{superuser}";\n'
        single = [str(bin_dir / "postgres"), "--single", "-j", "-D", str(draft), "template1"]
        _run(single, owner, "create", text=statement)
    with (draft / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude_if_exists 'whalefall.conf'\n")
    write_file(draft / "pg_hba.conf", "".join(f"{line}\n" for line in hba))
    write_file(draft / "pg_ident.conf", "".join(f"{line}\n" for line in ident))
    draft.rename(data_dir)


def configure(data_dir: Path, settings: Mapping[str, str | int]) -> None:
    """Write the settings that the cluster's next start takes."""
    quoted = {name: str(value).replace("'", "''") for name, value in settings.items()}
    lines = [f"{name} = '{value}'\n" for name, value in quoted.items()]
    write_file(data_dir / "whalefall.conf", "".join(lines))


def start(bin_dir: Path, data_dir: Path, log_file: Path) -> None:
    """Start the server and wait until it takes connections; recovers what a kill -9 left behind."""
    _end_leftover_processes(data_dir)
    _remove_leftover_locks(data_dir)
    told_before = log_file.stat().st_size if log_file.exists() else 0
    command = _pg_ctl(bin_dir, data_dir, START_SECONDS)
    try:
        _run([*command, "-l", log_file, "start"], data_dir, "start")
    except EmbeddedPostgresError as failure:
        told = log_file.read_bytes()[told_before:] if log_file.exists() else b""
        detail = told.decode(errors="replace").strip()[-2000:]
        raise EmbeddedPostgresError(f"{failure}\n{detail}") from None


def stop(bin_dir: Path, data_dir: Path) -> None:
    """Stop the server, sessions and all, and wait until it has ended. No server is fine."""
    if postmaster(data_dir) is None:
        return
    command = [*_pg_ctl(bin_dir, data_dir, STOP_SECONDS), "stop"]
    try:
        _run([*command, "-m", "fast"], data_dir, "stop")
    except EmbeddedPostgresError:
        if postmaster(data_dir) is not None:
            _run([*command, "-m", "immediate"], data_dir, "stop")


def _pg_ctl(bin_dir: Path, data_dir: Path, seconds: int) -> list[Path | str]:
    return [bin_dir / "pg_ctl", "-s", "-w", "-t", str(seconds), "-D", data_dir]


def postmaster(data_dir: Path) -> Postmaster | None:
    """Return the server that runs on the directory, if one does."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].isdigit() or not _runs_in(int(lines[0]), data_dir):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return Postmaster(int(lines[0]), int(lines[3]), lines[4], ready)


def _runs_in(pid: int, data_dir: Path) -> bool:
    """Tell whether the process exists and works in the directory, as those of its server do."""
    if not _signal(pid, 0):
        return False
    if not Path("/proc/self/cwd").exists():
        return True
    try:
        return (Path("/proc") / str(pid) / "cwd").samefile(data_dir)
    except OSError:  # it has just ended, or belongs to somebody else
        return False


def _processes_in(data_dir: Path) -> list[int]:
    if not Path("/proc/self/cwd").exists():
        return []
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names only
    return [pid for pid in pids if _runs_in(pid, data_dir) and _is_postgres(pid)]


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except OSError:
        return False


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _end_leftover_processes(data_dir: Path) -> None:
    """End the backends that outlived their killed postmaster: they keep its shared memory."""
    begun = time.monotonic()
    while postmaster(data_dir) is None and (left := _processes_in(data_dir)):
        waited = time.monotonic() - begun
        if waited > START_SECONDS:
            raise EmbeddedPostgresError(f"Processes of a killed server do not end: {left}")
        for pid in left:
            _signal(pid, signal.SIGQUIT if waited < 5 else signal.SIGKILL)
        time.sleep(0.1)


def _remove_leftover_locks(data_dir: Path) -> None:
    """Remove a killed server's lock files if its process number is taken: they would be believed.

    It is taken when another program has got it since, or while nobody has buried the dead process.
    """
    pid_file = data_dir / "postmaster.pid"
    if not pid_file.exists() or postmaster(data_dir) is not None:
        return
    lines = pid_file.read_text().splitlines()
    if not lines or not lines[0].isdigit() or not _signal(int(lines[0]), 0):
        return
    if len(lines) >= 5 and lines[4]:
        socket_lock = Path(lines[4]) / f".s.PGSQL.{lines[3]}.lock"
        if socket_lock.exists() and socket_lock.read_text().split("\n")[0] == lines[0]:
            socket_lock.unlink()
    pid_file.unlink()  # last: without it nobody would look for the other


def _run(
    command: Sequence[Path | str],
    owner: Path,
    verb: str,
    text: str = "",
) -> None:
    """Run one of PostgreSQL's programs as the owner of a path (PostgreSQL refuses to be root)."""
    # Nothing of ours but what marks the processes of a test: PGDATA and its kin would mislead it.
    environment = {name: value for name, value in os.environ.items() if name.startswith(MARK)}
    environment |= {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        found = owner.stat()
        if found.st_uid == 0:
            raise EmbeddedPostgresError(
                f"{owner} belongs to root: PostgreSQL refuses to run as root."
            )
        user = {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's programs
        [str(part) for part in command],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        cwd="/",
        umask=0o077,
        check=False,
        **user,
    )
    if done.returncode:
        raise EmbeddedPostgresError(
            f"PostgreSQL could not {verb} its server ({Path(str(command[0])).name}): "
            f"{(done.stderr or done.stdout).strip()[-2000:]}"
        )


def write_file(path: Path, content: str) -> None:
    """Replace a file at once, for its owner's eyes only, who is that of the directory."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_text(content)
    draft.chmod(0o600)
    give_to_owner_of(path.parent, draft)
    draft.replace(path)


def give_to_owner_of(directory: Path, path: Path) -> None:
    """Make the path belong to the owner of the directory; only root can and needs to."""
    if os.geteuid() == 0:
        found = directory.stat()
        os.chown(path, found.st_uid, found.st_gid)
