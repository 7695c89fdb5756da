"""A new encryption key, without a moment at which a stored password could not be read.

1. The new key is written before the old ones: from then on it encrypts, and all of them decrypt.
2. Every password is encrypted with it, in one transaction.
3. After that is committed, and only if the new key alone reads every password, the old keys go.

Killed after any step, everything still works and the next rotation completes the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.fernet import Fernet
from sqlalchemy import Connection, select, update

from app.config import current_settings
from app.models import Credential, db
from app.repositories import credential_keys
from app.utils.secrets import encryption_keys, reencrypt, write_encryption_keys
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def rotate_encryption_key() -> int:
    """Replace the encryption key and return how many passwords are encrypted with the new one.

    Raises:
        SecretsError: a password cannot be decrypted with the present keys; they are all kept.

    """
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        credential_keys.begin_rotation(guard)
        try:
            prepend_key()
            count = reencrypt_credentials()
            drop_old_keys()
        finally:
            credential_keys.end_rotation(guard)
    logger.info("The encryption key was rotated", credentials=count)
    return count


def prepend_key() -> None:
    """Step 1: make a new key that encrypts from now on."""
    file = current_settings().encryption_key_file
    write_encryption_keys(file, [Fernet.generate_key(), *encryption_keys(file)])


def reencrypt_credentials() -> int:
    """Step 2: encrypt every password with the newest key, all or none."""
    keys = encryption_keys(current_settings().encryption_key_file)
    with _no_writers() as connection:
        rows = connection.execute(select(Credential.id, Credential.secret)).all()
        for credential_id, secret in rows:
            changed = update(Credential).where(Credential.id == credential_id)
            connection.execute(changed.values(secret=reencrypt(secret, keys)))
    return len(rows)


def drop_old_keys() -> None:
    """Step 3: keep only the newest key, once it alone reads every password."""
    file = current_settings().encryption_key_file
    newest = encryption_keys(file)[:1]
    with _no_writers() as connection:
        for secret in connection.scalars(select(Credential.secret)):
            reencrypt(secret, newest)
        write_encryption_keys(file, newest)


@contextmanager
def _no_writers() -> Iterator[Connection]:
    with db.engine.begin() as connection:
        credential_keys.keep_writers_out(connection)
        yield connection
