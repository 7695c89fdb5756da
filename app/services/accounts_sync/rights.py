"""What our own account may see, and the event when that shrinks or grows."""

from __future__ import annotations

from typing import Any

from app.constants.accounts import ChangeKind
from app.repositories.account_changes import Change

Rights = dict[str, Any]

READ_ACCOUNTS = "list of accounts"
"""The right without which nothing else can be read; only ever stored as lost."""


def rights_changes(before: Rights | None, now: Rights, databases_listed: set[str]) -> list[Change]:
    """Return the events that tell one set of rights from the next; none at first sight."""
    if before is None:
        return []
    lost = [
        right
        for right, had in sorted(before.items())
        if had and not now.get(right, False) and _still_asked(right, databases_listed)
    ]
    gained = [right for right, has in sorted(now.items()) if has and before.get(right) is False]
    if before.get(READ_ACCOUNTS) is False:
        gained.insert(0, READ_ACCOUNTS)
    changes = []
    if lost:
        diff = {"removed": [{"fact": "right", "right": right} for right in lost]}
        changes.append(Change(ChangeKind.RIGHTS_LOST, False, diff))
    if gained:
        diff = {"added": [{"fact": "right", "right": right} for right in gained]}
        changes.append(Change(ChangeKind.RIGHTS_GAINED, False, diff))
    return changes


def without_list_of_accounts(before: Rights, reason: str) -> tuple[Rights, list[Change]]:
    """Return the rights without the most important one, and the event if that is news."""
    if before.get(READ_ACCOUNTS) is False:
        return before, []
    diff = {"removed": [{"fact": "right", "right": READ_ACCOUNTS, "reason": reason}]}
    change = Change(ChangeKind.RIGHTS_LOST, False, diff)
    return {**before, READ_ACCOUNTS: False}, [change]


def _still_asked(right: str, databases_listed: set[str]) -> bool:
    """Tell whether a right can still be had: one to enter a dropped database cannot."""
    kind, _, database = right.partition(":")
    return kind != "connect" or database in databases_listed
