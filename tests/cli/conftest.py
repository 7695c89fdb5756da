from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from app.cli.root import exit_code
from tests.fixtures.postgresql import SUPERUSER, SUPERUSER_PASSWORD, PostgresqlServer

PASSWORD = "s3cret-of-the-tests"


@dataclass(frozen=True)
class Said:
    """What a command did: its exit code, its result, and what it told beside it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def told(self) -> str:
        """What it told, however the lines were broken."""
        return " ".join(self.err.split())

    @property
    def widest(self) -> int:
        return max(map(cell_len, (self.out + "\n" + self.err).splitlines()), default=0)


Whalefall = Callable[..., Said]


@pytest.fixture
def whalefall(
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Whalefall:
    """Run a command in this process on the test's own store, on a terminal of 80 columns."""
    monkeypatch.setenv("WHALEFALL_DATABASE_URL", store_url)
    monkeypatch.setenv("WHALEFALL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("WHALEFALL_PASSWORD_TEST", PASSWORD)
    monkeypatch.delenv("WHALEFALL_LOG_LEVEL", raising=False)

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = exit_code(arguments)
        said = capsys.readouterr()
        return Said(int(code), said.out, said.err)

    return run


@pytest.fixture
def with_credential(whalefall: Whalefall) -> Whalefall:
    """The same, once a login named prod is stored."""
    said = whalefall(
        "credential", "add", "prod", "--username", "u", "--password-env", "WHALEFALL_PASSWORD_TEST"
    )
    assert said.code == 0, said.err
    return whalefall


@pytest.fixture
def fleet(
    whalefall: Whalefall, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> Whalefall:
    """One server that can be read, registered as orders."""
    monkeypatch.setenv("WHALEFALL_PASSWORD_P", SUPERUSER_PASSWORD)
    for arguments in (
        (
            "credential", "add", "pg", "--username", SUPERUSER,
            "--password-env", "WHALEFALL_PASSWORD_P",
        ),
        (
            "instance", "add", "orders", "--engine", "postgresql", "--host", "127.0.0.1",
            "--port", str(postgresql.port), "--tls", "disable", "--credential", "pg",
            "--tag", "good",
        ),
    ):  # fmt: skip
        said = whalefall(*arguments)
        assert said.code == 0, said.err
    return whalefall
