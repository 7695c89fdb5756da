"""The end of accounts: concluded by a full sight, or confirmed by a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg import Connection

from app.constants.accounts import ChangeKind
from app.repositories import accounts, entitlements
from app.repositories.account_changes import Change
from app.services.accounts_sync.differences import NameOf, difference


def end_accounts(
    connection: Connection[Any],
    gone: Iterable[tuple[int, str]],
    moment: datetime,
    name_of: NameOf,
) -> list[Change]:
    """Conclude that accounts are gone: close what they held and return one change for each."""
    names = dict(gone)
    held = entitlements.open_of_accounts(connection, list(names))
    lost: dict[int, list[dict[str, Any]]] = {account_id: [] for account_id in names}
    for row in held:
        diff = difference(row.facts, None, name_of)
        where = {"database": row.database} if row.database else {}
        lost[row.account_id] += [{**fact, **where} for fact in diff.get("removed", ())]
    entitlements.close(connection, [row.id for row in held], moment)
    accounts.remove(connection, list(names), moment)
    return [
        Change(
            ChangeKind.ACCOUNT_REMOVED,
            False,
            {"removed": facts} if facts else {},
            account_id,
            names[account_id],
        )
        for account_id, facts in lost.items()
    ]
