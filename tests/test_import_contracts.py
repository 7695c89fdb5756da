"""The layers are held by import-linter: shown on a copy of the package that breaks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")

pytestmark = pytest.mark.skipif(not LINT.exists(), reason="import-linter is not installed")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app", place / "app", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def _lint(place: Path) -> tuple[int, str]:
    done = subprocess.run(
        [LINT, "--no-cache"],
        cwd=place,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "COLUMNS": "200"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_package_keeps_every_contract(copy: Path) -> None:
    code, told = _lint(copy)
    assert code == 0, told


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("app/constants/engines.py", "import app.config", "Calls go downwards"),
        ("app/utils/sql_files.py", "import app.models.account", "Calls go downwards"),
        ("app/models/account.py", "import app.repositories.partitions", "Calls go downwards"),
        ("app/repositories/partitions.py", "import app.services.store", "Calls go downwards"),
        ("app/services/store/key_rotation.py", "import app.tasks", "Calls go downwards"),
        ("app/services/store/key_rotation.py", "import app.scheduler", "Calls go downwards"),
        ("app/tasks/accounts_sync_tasks.py", "import app.worker", "Calls go downwards"),
        ("app/tasks/accounts_sync_tasks.py", "import app.models", "A task knows"),
        ("app/tasks/accounts_sync_tasks.py", "import app.repositories.partitions", "A task knows"),
        ("app/tasks/accounts_sync_tasks.py", "import sqlalchemy", "A task knows"),
        ("app/services/store/key_rotation.py", "import werkzeug", "Services know no HTTP"),
        ("app/services/store/key_rotation.py", "import pymysql", "Only a reader"),
    ],
)
def test_a_violation_is_caught(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / module
    kept = file.read_text()
    file.write_text(f"{kept}\n{line}\n")
    try:
        code, told = _lint(copy)
    finally:
        file.write_text(kept)
    broken = [told_line for told_line in told.splitlines() if "BROKEN" in told_line]
    assert code == 1
    assert any(told_line.startswith(contract) for told_line in broken), told
