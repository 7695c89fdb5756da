"""One number for the same error, whichever server, name or number it is about."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

_NAMES_OF_TARGETS = frozenset(
    {
        "account", "address", "database", "host", "instance", "instance_name", "job_id", "name",
        "partition", "relation", "schema", "server", "table", "target", "user",
    }
)  # fmt: skip
"""Fields whose value, found in the text, is taken out of it."""
_SAME_WHOEVER_IT_IS = ("logger", "module", "task", "error_code")
_LONGEST = 2000

_VARIABLE = (
    # scheme://…, e-mail addresses and user@host
    re.compile(r"\b[a-z][a-z0-9+.\-]*://\S+", re.IGNORECASE),
    re.compile(r"\S+@\S+"),
    # 'name', "name", `name`, «name»; not a sentence in quotes, nor the apostrophe of "Can't"
    re.compile(r"\"[^\"\s]{0,128}\"|`[^`\s]{0,128}`|(?<!\w)'[^'\s]{0,128}'(?!\w)|«[^»\n]{0,128}»"),
    # UUIDs, addresses of memory, IPv6, paths, dotted names
    re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b0x[0-9a-f]+\b", re.IGNORECASE),
    re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE),
    re.compile(r"(?<![\w/])/[\w.\-/]+"),
    re.compile(r"\b[\w\-]+(?:\.[\w\-]+)+\b"),
    # numbers, also inside a name: db1, orders-07
    re.compile(r"\d+"),
)
_SPACES = re.compile(r"\s+")
_TYPE = re.compile(r"^(?:[\w]+\.)*(\w+)(?::|$)")


def fingerprint_of(event: Mapping[str, Any]) -> int:
    """Return 63 bits that are equal for events that tell the same of different targets.

    1. Who said it: logger, module, task and error code as they are.
    2. What: the event, the error text, and the last line of the traceback, of which the type of
       the exception stays as it is.
    3. Out of the texts go quoted names, addresses, paths, dotted names, numbers, and whatever the
       event's own fields call the target.
    """
    targets = sorted(
        {
            value
            for key, value in event.items()
            if key in _NAMES_OF_TARGETS and isinstance(value, str) and len(value) > 1
        },
        key=len,
        reverse=True,
    )
    parts = [str(event.get(key, "")) for key in _SAME_WHOEVER_IT_IS]
    parts += [
        _without_names(str(event.get("event", "")), targets),
        _without_names(str(event.get("error", "")), targets),
    ]
    trace = event.get("exception")
    if isinstance(trace, str) and trace.strip():
        last = _last_line(trace)
        kind = _TYPE.match(last)
        parts += [kind[1] if kind else "", _without_names(last, targets)]
    digest = hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _without_names(text: str, targets: list[str]) -> str:
    text = text[:_LONGEST]
    for target in targets:
        text = re.sub(rf"(?<!\w){re.escape(target)}(?!\w)", "#", text)
    for pattern in _VARIABLE:
        text = pattern.sub("#", text)
    return _SPACES.sub(" ", text).strip().lower()


def _last_line(trace: str) -> str:
    """Return the line that names the exception: the last one that is not indented."""
    lines = [line for line in trace.splitlines() if line.strip()]
    told = [line for line in lines if not line[0].isspace()]
    return (told or lines)[-1].strip()
