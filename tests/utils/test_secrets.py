from __future__ import annotations

import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings, install_settings
from app.utils import secrets
from app.utils.secrets import SecretsError, decrypt, encrypt, encryption_keys, secret_key


def test_keys_are_made_once_in_files_for_their_owner_only(tmp_path: Path) -> None:
    for make, name in ((secret_key, "secret.key"), (encryption_keys, "encryption.key")):
        file = tmp_path / "new" / name
        assert make(file) == make(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "encryption.key",
        "secret.key",
    ]


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(6) as pool:
        keys = set(pool.map(secret_key, [tmp_path / "secret.key"] * 24))
    assert len(keys) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_reach_is_refused_with_the_command_that_helps(
    tmp_path: Path, mode: int
) -> None:
    for make in (secret_key, encryption_keys):
        file = tmp_path / make.__name__
        make(file)
        file.chmod(mode)
        with pytest.raises(SecretsError, match=f"chmod 600 {file}"):
            make(file)
        file.chmod(0o400)
        make(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"x" * 44 + b"\n"])
def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "encryption.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SecretsError, match="from the backup"):
        encryption_keys(file)
    assert file.read_bytes() == content


def test_a_secret_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_bytes(b"changeme")
    file.chmod(0o600)
    with pytest.raises(SecretsError, match="fewer than 32 characters"):
        secret_key(file)


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert secret_key(tmp_path / "a") != secret_key(tmp_path / "b")
    assert encryption_keys(tmp_path / "c") != encryption_keys(tmp_path / "d")


def test_a_half_written_file_of_keys_is_never_seen(tmp_path: Path) -> None:
    file = tmp_path / "encryption.key"
    before = encryption_keys(file)
    secrets.write_encryption_keys(file, [Fernet.generate_key(), *before])
    assert encryption_keys(file)[1:] == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@given(st.text(max_size=200))
def test_what_was_encrypted_comes_back(clear: str) -> None:
    with _app(_DIRECTORY).app_context():
        token = encrypt(clear)
        assert decrypt(token) == clear
        assert len(clear) < 3 or clear.encode() not in token


def test_a_lost_key_is_told_from_a_wrong_password(tmp_path: Path) -> None:
    with _app(tmp_path).app_context():
        token = encrypt("x")
        (tmp_path / "encryption.key").unlink()
        with pytest.raises(SecretsError, match=r"restore the file from the backup"):
            decrypt(token)


def _app(directory: Path) -> Flask:
    app = Flask("keys")
    install_settings(app, Settings(data_dir=directory))
    return app


@pytest.fixture(autouse=True, scope="module")
def _directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _DIRECTORY
    _DIRECTORY = tmp_path_factory.mktemp("keys")


_DIRECTORY = Path()
