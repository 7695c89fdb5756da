from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.models import Credential, db
from app.services.store.key_rotation import (
    drop_old_keys,
    prepend_key,
    reencrypt_credentials,
    rotate_encryption_key,
)
from app.utils.secrets import (
    SecretsError,
    decrypt,
    encrypt,
    encryption_keys,
    write_encryption_keys,
)

PASSWORDS = {"a": "one", "b": "二", "c": "3" * 500}


@pytest.fixture(autouse=True)
def _credentials(app: Flask) -> None:
    del app
    for name, password in PASSWORDS.items():
        db.session.add(Credential(name=name, username="u", secret=encrypt(password)))
    db.session.commit()


def _read() -> dict[str, str]:
    db.session.expire_all()
    found = {one.name: decrypt(one.secret) for one in db.session.scalars(select(Credential))}
    db.session.rollback()
    return found


def test_a_rotation_leaves_one_new_key_and_every_password(settings: Settings) -> None:
    before = encryption_keys(settings.encryption_key_file)
    assert rotate_encryption_key() == len(PASSWORDS)
    after = encryption_keys(settings.encryption_key_file)
    assert len(after) == 1
    assert after != before
    assert _read() == PASSWORDS


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_killed_after_any_step_nothing_is_lost_and_the_next_rotation_completes(
    settings: Settings, steps: int
) -> None:
    for step in (prepend_key, reencrypt_credentials, drop_old_keys)[:steps]:
        step()
        assert _read() == PASSWORDS
    rotate_encryption_key()
    assert len(encryption_keys(settings.encryption_key_file)) == 1
    assert _read() == PASSWORDS


def test_old_keys_are_not_dropped_while_a_password_needs_them(settings: Settings) -> None:
    prepend_key()
    with pytest.raises(SecretsError):
        drop_old_keys()
    assert len(encryption_keys(settings.encryption_key_file)) == 2
    assert _read() == PASSWORDS


def test_a_password_that_no_key_reads_stops_the_rotation_and_changes_nothing(
    settings: Settings,
) -> None:
    db.session.add(Credential(name="lost", username="u", secret=b"gAAAAA-not-ours"))
    db.session.commit()
    before = encryption_keys(settings.encryption_key_file)
    with pytest.raises(SecretsError):
        rotate_encryption_key()
    assert set(before) < set(encryption_keys(settings.encryption_key_file))
    db.session.delete(db.session.scalars(select(Credential).filter_by(name="lost")).one())
    db.session.commit()
    assert _read() == PASSWORDS


def test_rotations_at_once_take_turns(app: Flask, settings: Settings) -> None:
    def rotate(_: int) -> int:
        with app.app_context():
            return rotate_encryption_key()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(rotate, range(3))) == [3, 3, 3]
    assert len(encryption_keys(settings.encryption_key_file)) == 1
    assert _read() == PASSWORDS


def test_a_running_process_uses_the_new_key_at_once(settings: Settings) -> None:
    keys = encryption_keys(settings.encryption_key_file)
    rotate_encryption_key()
    token = encrypt("later")
    write_encryption_keys(settings.encryption_key_file, keys)
    with pytest.raises(SecretsError):
        decrypt(token)
