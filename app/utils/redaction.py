"""Takes secrets out of what is logged. When in doubt it takes out too much."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from structlog import DropEvent

_busy = threading.local()

MASK = "***"
DEEPEST = 8

_WORDS = "password|passwd|passphrase|passwort|pwd|secret|token|dsn|conninfo|authorization|cookie"
_KEY = re.compile(
    rf"(?:{_WORDS}|(?:api|private|access|encryption|fernet|signing)[_\- ]?key)s?(?![a-z])"
    r"|database_?url",
    re.IGNORECASE,
)
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.|'')*'?"
_PATTERNS = (
    # scheme://user:password@host, also when the password holds an unescaped "@", "/" or ":"
    (re.compile(r"([a-z][a-z0-9+.\-]*://[^\s:/@]*):\S*@", re.IGNORECASE), rf"\1:{MASK}@"),
    # password=…, "password": "…", token: …, ?api_key=…, Authorization: Bearer …
    (
        re.compile(
            rf"((?:{_WORDS}|(?:api|private|access)[_\-]?key)[\w\-]*[\"']?\s*(?:=>|[=:])\s*)"
            rf"(?:{_QUOTED}|(?:bearer|basic|digest|negotiate)\s+\S+|[^\s,;&\"')}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # SQL: PASSWORD '…', IDENTIFIED BY '…', IDENTIFIED WITH plugin AS '…'
    (
        re.compile(
            rf"(\b(?:password|identified\s+by(?:\s+password)?"
            rf"|identified\s+(?:with|via)\s+\S+\s+(?:as|by|using)(?:\s+password)?)\s*\(?\s*)"
            rf"(?:{_QUOTED})",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w+/.\-~]{8,}=*", re.IGNORECASE), rf"\1 {MASK}"),
    # What keys and stored passwords look like: Fernet, SCRAM, md5, MySQL's two, PEM
    (re.compile(r"gAAAA[\w\-]{20,}=*"), MASK),
    (re.compile(r"SCRAM-SHA-\d+\$\S+"), MASK),
    (re.compile(r"\bmd5[0-9a-f]{32}\b", re.IGNORECASE), MASK),
    (re.compile(r"\*[0-9A-F]{40}\b"), MASK),
    (re.compile(r"\$A\$\d{3}\$\S+"), MASK),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
)

_SIGNS = (
    "://", "passw", "passphrase", "pwd", "secret", "token", "dsn", "conninfo", "authorization",
    "cookie", "key", "identified", "bearer", "basic", "gaaaa", "scram-sha-", "md5", "*", "$a$",
    "-----begin",
)  # fmt: skip
"""What every pattern needs at least one of: a search for these costs a tenth of the patterns."""


def redact_event(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take the secrets out of a log event (a structlog processor).

    What is logged meanwhile on this thread, by an object that is being shown, is dropped.
    """
    if getattr(_busy, "redacting", False):
        raise DropEvent
    _busy.redacting = True
    try:
        return _redact_fields(event)
    finally:
        _busy.redacting = False


def _redact_fields(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {
        key if key == "_record" else _redacted_name(str(key)): value
        if key.startswith("_")
        else _redact_item(key, value, ())
        for key, value in event.items()
    }


def redact_text(text: str) -> str:
    """Return the text without what looks like a password, a key or a token."""
    return _without_secrets(text) if _suspicious(text) else text


def _suspicious(text: str) -> bool:
    """Tell whether any pattern can match, which ignore case as ``casefold`` does, but for "ı"."""
    folded = text.casefold()
    for sign in _SIGNS:  # a generator would cost twice as much
        if sign in folded:
            return True
    return "ı" in folded


def _without_secrets(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _redact_item(key: object, value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(key, bytes):
        key = key.decode(errors="replace")
    if _names_a_secret(str(key)):
        return MASK
    return _redact_value(value, above)


@lru_cache(maxsize=4096)
def _redacted_name(key: str) -> str:
    return redact_text(key)


@lru_cache(maxsize=4096)
def _names_a_secret(key: str) -> bool:
    return bool(_KEY.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)))


def _redact_value(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return redact_text(str(value))
    if isinstance(value, (bytes, bytearray)):
        return redact_text(value.decode(errors="backslashreplace"))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if id(value) in above or len(above) >= DEEPEST:
        return "…"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return {_key_text(key): _redact_item(key, item, above) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redact_value(item, above) for item in value]
    return redact_text(_text_of(value))


def _key_text(key: object) -> str:
    return redact_text(key if isinstance(key, str) else _text_of(key))


def _text_of(value: object) -> str:
    try:
        return repr(value)
    except Exception as failure:  # noqa: BLE001 - a log message must not fail for what it is about
        return f"<{type(value).__name__} that cannot be shown: {type(failure).__name__}>"
