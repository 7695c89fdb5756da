"""The keys of this installation, and what is encrypted with them.

A key is made when it is first needed, by whichever process comes first, in a file of mode 0600.
There is no default key, and a key that other people can read is refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.config import current_settings


class SecretsError(Exception):
    """A key is missing, unusable or readable by others; the message says what to do."""


def encrypt(clear: str) -> bytes:
    """Return the text encrypted with the newest key."""
    return _fernet().encrypt(clear.encode())


def decrypt(token: bytes) -> str:
    """Return the text that ``encrypt`` was given.

    Raises:
        SecretsError: if none of our keys made the token.

    """
    try:
        return _fernet().decrypt(token).decode()
    except InvalidToken:
        raise SecretsError(_lost_key(current_settings().encryption_key_file)) from None


def reencrypt(token: bytes, keys: list[bytes]) -> bytes:
    """Return the same text encrypted with the first of the keys; any may have made the token."""
    try:
        return MultiFernet([Fernet(key) for key in keys]).rotate(token)
    except InvalidToken:
        raise SecretsError(_lost_key(current_settings().encryption_key_file)) from None


def _fernet() -> MultiFernet:
    # The file is read every time: a rotation in another process counts at once.
    return MultiFernet(
        [Fernet(key) for key in encryption_keys(current_settings().encryption_key_file)]
    )


def secret_key(file: Path) -> bytes:
    """Return the key that signs sessions, made if it is missing."""
    key = _read_or_make(file, _new_secret_key).strip()
    if len(key) < 32:
        raise SecretsError(
            f"{file} holds fewer than 32 characters: restore it, or remove it to get a new one "
            "(everybody is logged out then)."
        )
    return key


def encryption_keys(file: Path) -> list[bytes]:
    """Return the keys that encrypt passwords, newest first; one is made if there is no file."""
    keys = _read_or_make(file, Fernet.generate_key).split()
    if not keys:
        raise SecretsError(f"{file} is empty: restore it from the backup.")
    for position, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            raise SecretsError(
                f"{file}: key {position} is not a Fernet key (32 bytes, base64): "
                "restore the file from the backup."
            ) from None
    return keys


def write_encryption_keys(file: Path, keys: list[bytes]) -> None:
    """Replace the keys at once; after this has returned they survive a crash of the machine."""
    draft = file.with_name(f"{file.name}.{random.token_hex(4)}.new")
    try:
        _write(draft, b"\n".join(keys) + b"\n")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(file.parent)


def _new_secret_key() -> bytes:
    return random.token_urlsafe(48).encode()


def _read_or_make(file: Path, make: Callable[[], bytes]) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return _read(file)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{random.token_hex(4)}.new")
    try:
        _write(draft, make() + b"\n")
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(file.parent)
    return _read(file)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise SecretsError(
                    f"{file} can be read by other people (mode {mode:04o}): chmod 600 {file}"
                )
            return opened.read()
    except PermissionError:
        raise SecretsError(
            f"{file} cannot be read by this account: run WhaleFall as the account that owns it, "
            "or set another WHALEFALL_DATA_DIR."
        ) from None


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lost_key(file: Path) -> str:
    return f"None of the keys in {file} made this secret: restore the file from the backup."
