"""One log event as bytes: what waits in memory, lies in the spill file, and is sent to the store.

JSON on one line, of an event from which the secrets have been taken out already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

LONGEST_BYTES = 256 * 1024
"""What is longer is cut, and says so."""
_LONGEST_TEXT = 32 * 1024
_MOST_FIELDS = 64
_DEEPEST = 6


def record_of(event: Mapping[str, Any]) -> bytes:
    """Return a redacted event as one line of JSON, whatever is in it."""
    try:
        line = orjson.dumps(event)
    except TypeError:  # a lone surrogate, a whole number beyond 64 bits, a key that is no text
        line = orjson.dumps(_plain(event, 0))
    if len(line) > LONGEST_BYTES or b"\\u0000" in line:  # PostgreSQL has no NUL
        line = orjson.dumps(_plain(event, 0))
        if len(line) > LONGEST_BYTES:
            line = orjson.dumps(_shortened(event, len(line)))
    return line


def event_of(line: bytes) -> dict[str, Any]:
    """Return the event of a line; raises ValueError if it is none."""
    event = orjson.loads(line)
    if not isinstance(event, dict):
        raise ValueError("a line that is no log event")  # noqa: TRY004 - of the file, not of the code
    return event


def _shortened(event: Mapping[str, Any], length: int) -> dict[str, Any]:
    short: dict[str, Any] = {"cut_from_bytes": length}
    for key, value in list(event.items())[:_MOST_FIELDS]:
        plain = _plain(value, 1)
        if not isinstance(plain, str):
            plain = orjson.dumps(plain).decode() if isinstance(plain, (dict, list)) else plain
        if isinstance(plain, str) and key in ("exception", "stack"):
            plain = _middle_cut(plain, _LONGEST_TEXT)
        elif isinstance(plain, str):
            plain = _middle_cut(plain, _LONGEST_TEXT // 16)
        short[_text(str(key))[:200]] = plain
    return short


def _middle_cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]} … {text[-longest // 2 :]}"


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return _text(str(value))


def _text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
