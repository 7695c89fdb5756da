"""The life of the embedded server: with its users, whoever is killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.postgres_binaries import embedded_postgres, find_binaries, prepare_directory
from app.utils.postgres_server import EmbeddedPostgresError, Postmaster, postmaster

ROOT = Path(__file__).parents[2]
USER = """
import sys
from pathlib import Path
from app.utils.postgres_binaries import embedded_postgres
server = embedded_postgres(Path(sys.argv[1]), durable=False)
server.start()
print("started", flush=True)
sys.stdin.read()
server.stop()
print("left", flush=True)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about being root")


@pytest.fixture(scope="session")
def cluster(public_tmp: Path) -> Path:
    """A server's directory to copy: making one takes longer than all the rest."""
    directory = public_tmp / "cluster"
    with embedded_postgres(directory, durable=False).running():
        return directory


@pytest.fixture
def directory(new_directory: Path, cluster: Path) -> Path:
    """A server's directory in which a cluster is."""
    subprocess.run(["cp", "-a", cluster, new_directory], check=True)
    return new_directory


@pytest.fixture
def new_directory(public_tmp: Path) -> Iterator[Path]:
    """A server's directory to be, removed after whatever ran in it has ended."""
    place = Path(tempfile.mkdtemp(dir=public_tmp))
    place.chmod(0o711)
    yield place / "store"
    _eventually(
        lambda: not _guards(place / "store") and postmaster(place / "store" / "data") is None
    )
    shutil.rmtree(place)


@pytest.fixture
def server(directory: Path) -> EmbeddedPostgres:
    return embedded_postgres(directory, durable=False)


class User:
    """Another process that uses the server."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )

    def await_start(self) -> User:
        assert self.process.stdout
        assert self.process.stdout.readline() == "started\n"
        return self

    def leave(self) -> None:
        assert self.process.communicate(timeout=30)[0] == "left\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def _eventually(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def _guards(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(directory) in words and b"-S" in words:
                found.append(int(entry.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _running(server: EmbeddedPostgres) -> Postmaster:
    found = postmaster(server.data_dir)
    assert found is not None
    return found


def _ask(server: EmbeddedPostgres, question: str) -> object:
    with psycopg.connect(server.conninfo, connect_timeout=5) as connection:
        row = connection.execute(question).fetchone()
        return row and row[0]


def test_it_runs_while_it_is_used_and_not_longer(server: EmbeddedPostgres) -> None:
    with server.running() as url:
        assert url.startswith("postgresql+psycopg://whalefall@/whalefall?host=")
        assert _ask(server, "SELECT current_user::text") == "whalefall"
    assert postmaster(server.data_dir) is None
    _eventually(lambda: not _guards(server.directory), 1)


def test_what_was_written_is_there_the_next_time(server: EmbeddedPostgres) -> None:
    with server.running(), psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with server.running():
        assert _ask(server, "SELECT answer FROM kept") == 42


def test_nobody_listens_on_the_network_and_nobody_is_trusted(server: EmbeddedPostgres) -> None:
    with server.running():
        assert _ask(server, "SHOW listen_addresses") == ""
        methods = (
            "SELECT string_agg(DISTINCT type || ' ' || auth_method, ',') FROM pg_hba_file_rules"
        )
        assert _ask(server, methods) == "local peer"
        assert _ask(server, "SHOW server_encoding") == "UTF8"
        assert _ask(server, "SHOW data_checksums") == "on"
        for private in (server.directory, server.data_dir, server.socket_directory):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_another_account_of_the_machine_cannot_log_in(
    server: EmbeddedPostgres, directory: Path
) -> None:
    nobody = pwd.getpwnam("nobody")
    with server.running():
        directory.chmod(0o711)  # as if somebody had opened it up
        server.socket_directory.chmod(0o711)
        (server.socket_directory / ".s.PGSQL.5432").chmod(0o777)
        told = subprocess.run(
            [find_binaries() / "psql", server.conninfo, "-c", "SELECT 1"],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd="/",
        )
    assert "Peer authentication failed" in told.stderr


def test_several_processes_share_it_and_the_last_one_stops_it(new_directory: Path) -> None:
    directory = new_directory
    first, second = User(directory), User(directory)  # at the same time, on a new directory
    first.await_start()
    second.await_start()
    pid = postmaster(directory / "data")
    assert pid is not None
    first.leave()
    assert postmaster(directory / "data") == pid
    assert len(_guards(directory)) == 1
    second.leave()
    assert postmaster(directory / "data") is None


def test_a_killed_user_does_not_leave_the_server_behind(directory: Path) -> None:
    user = User(directory).await_start()
    user.kill()
    _eventually(lambda: postmaster(directory / "data") is None)
    _eventually(lambda: not _guards(directory))


def test_one_of_two_users_is_killed_and_the_other_goes_on(
    server: EmbeddedPostgres, directory: Path
) -> None:
    with server.running():
        before = _running(server)
        User(directory).await_start().kill()
        time.sleep(0.5)
        assert _running(server) == before
        assert _ask(server, "SELECT 1") == 1


def test_ctrl_c_reaches_neither_the_server_nor_its_guard(server: EmbeddedPostgres) -> None:
    with server.running():
        ours = os.getsid(0)
        assert ours not in {os.getsid(pid) for pid in _guards(server.directory)}
        assert os.getsid(_running(server).pid) != ours
        for pid in _guards(server.directory):
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.3)
        assert len(_guards(server.directory)) == 1


def test_a_new_guard_adopts_the_server_when_the_old_one_was_killed(
    server: EmbeddedPostgres, directory: Path
) -> None:
    with server.running():
        before = _running(server)
        (guard,) = _guards(directory)
        os.kill(guard, signal.SIGKILL)
        _eventually(lambda: not _guards(directory))
        user = User(directory).await_start()
        assert _running(server) == before
        assert len(_guards(directory)) == 1
    user.kill()
    _eventually(lambda: postmaster(directory / "data") is None)


def test_without_a_guard_the_last_user_still_stops_it(server: EmbeddedPostgres) -> None:
    with server.running():
        (guard,) = _guards(server.directory)
        os.kill(guard, signal.SIGKILL)
        _eventually(lambda: not _guards(server.directory))
    assert postmaster(server.data_dir) is None


def test_the_guard_starts_a_killed_server_again(server: EmbeddedPostgres) -> None:
    with server.running():
        with psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        killed = _running(server).pid
        os.kill(killed, signal.SIGKILL)

        def is_back() -> bool:
            found = postmaster(server.data_dir)
            return found is not None and found.ready and found.pid != killed

        _eventually(is_back, 60)
        assert _ask(server, "SELECT answer FROM kept") == 42


def test_everything_is_killed_and_the_next_user_finds_his_data(
    server: EmbeddedPostgres, directory: Path, request: pytest.FixtureRequest
) -> None:
    user = User(directory).await_start()
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    # A backend that is busy outlives its postmaster and keeps the shared memory.
    busy = psycopg.connect(server.conninfo, autocommit=True)
    request.addfinalizer(busy.close)
    pid = busy.info.backend_pid
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
    for guard in _guards(directory):
        os.kill(guard, signal.SIGKILL)
    user.kill()
    os.kill(_running(server).pid, signal.SIGKILL)
    assert _is_alive(pid)
    with server.running():
        assert _ask(server, "SELECT answer FROM kept") == 42
        assert not _is_alive(pid)


def test_a_pid_that_another_program_has_now_does_not_keep_the_server_down(
    server: EmbeddedPostgres,
) -> None:
    with server.running():
        pid_file = (server.data_dir / "postmaster.pid").read_text().splitlines()
    owner = server.data_dir.stat()
    with subprocess.Popen(["sleep", "60"], cwd="/") as other:
        pid_file[0] = str(other.pid)
        left = server.data_dir / "postmaster.pid"
        left.write_text("\n".join(pid_file) + "\n")
        os.chown(left, owner.st_uid, owner.st_gid)
        with server.running():
            assert _ask(server, "SELECT 1") == 1
        assert other.poll() is None
        other.kill()


def test_a_killed_first_start_leaves_no_half_made_cluster(new_directory: Path) -> None:
    server = embedded_postgres(new_directory, durable=False)
    half = new_directory / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with server.running():
        assert _ask(server, "SELECT 1") == 1
    assert not half.exists()


def test_twelve_processes_come_and_go_at_once(directory: Path) -> None:
    for _ in range(2):
        users = [User(directory) for _ in range(6)]
        for user in users:
            user.await_start()
        for number, user in enumerate(users):
            if number % 2:
                user.kill()
            else:
                user.leave()
    _eventually(lambda: postmaster(directory / "data") is None)


def test_a_path_too_long_for_a_socket_is_no_obstacle(public_tmp: Path) -> None:
    place = Path(tempfile.mkdtemp(dir=public_tmp))
    place.chmod(0o711)
    long = place / ("x" * 90)
    long.mkdir(mode=0o711)
    server = embedded_postgres(long / "store", durable=False)
    with server.running():
        sockets = server.socket_directory
        assert sockets.parent == Path(tempfile.gettempdir()).resolve()
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert _ask(server, "SELECT 1") == 1
    assert not sockets.exists()
    shutil.rmtree(place)


def test_locks_do_not_leak_into_children(server: EmbeddedPostgres) -> None:
    with server.running(), subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        server.stop()
        assert postmaster(server.data_dir) is None
        child.kill()


def test_a_cluster_of_another_major_version_is_refused_with_what_to_do(
    server: EmbeddedPostgres,
) -> None:
    with server.running():
        pass
    (server.data_dir / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"install embedded-postgres 17\.\*"):
        server.start()
    (server.data_dir / "PG_VERSION").write_text("18\n")
    with server.running():
        assert _ask(server, "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(server: EmbeddedPostgres) -> None:
    with server.running():
        pass
    with (server.data_dir / "postgresql.auto.conf").open("a") as conf:
        conf.write("shared_buffers = nonsense\n")
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        server.start()


@as_root
def test_root_runs_it_as_an_account_of_its_own(server: EmbeddedPostgres) -> None:
    with server.running():
        uid = Path(f"/proc/{_running(server).pid}").stat().st_uid
        assert pwd.getpwuid(uid).pw_name == "whalefall"
        assert server.data_dir.stat().st_uid == uid


@as_root
def test_a_directory_that_this_account_cannot_reach_is_refused_and_left_as_it_was() -> None:
    with tempfile.TemporaryDirectory() as closed:
        with pytest.raises(EmbeddedPostgresError, match="choose a WHALEFALL_DATA_DIR"):
            prepare_directory(Path(closed) / "store")
        assert stat.S_IMODE(Path(closed).stat().st_mode) == 0o700


@as_root
def test_binaries_that_this_account_cannot_reach_are_copied(
    new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as closed:
        package = find_binaries().parents[1]
        for part in package.parent.glob(f"{package.name}*"):
            shutil.copytree(part, Path(closed) / part.name, symlinks=True)
        monkeypatch.syspath_prepend(closed)
        server = embedded_postgres(new_directory, durable=False)
        assert server.bin_dir.is_relative_to(new_directory)
        with server.running():
            assert _ask(server, "SELECT 1") == 1
        assert stat.S_IMODE(Path(closed).stat().st_mode) == 0o700


@as_root
def test_an_ordinary_user_needs_nothing(public_tmp: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    place = Path(tempfile.mkdtemp(dir=public_tmp))
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from app.utils.embedded_postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres(Path(sys.argv[2]), Path(sys.argv[3]), durable=False).running():\n"
        "    print('started')\n"
    )
    python = shutil.which("python3", path=os.defpath)  # ours may be below /root
    if python is None:
        pytest.skip("the system has no Python that everybody can run")
    done = subprocess.run(
        [python, "-B", "-c", program, ROOT, place, find_binaries()],
        capture_output=True,
        text=True,
        cwd="/",
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        env={"PATH": os.defpath},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
    assert (place / "data").stat().st_uid == nobody.pw_uid
    shutil.rmtree(place)


def test_the_guard_needs_nothing_but_the_standard_library(server: EmbeddedPostgres) -> None:
    with server.running():
        (guard,) = _guards(server.directory)
        libraries = Path(f"/proc/{guard}/maps").read_text()
        memory = Path(f"/proc/{guard}/status").read_text()
    assert "site-packages" not in libraries
    resident = next(line for line in memory.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 40_000, resident
