"""Who exists on the instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb

from app.repositories import copying
from app.repositories.remote.facts import AccountFact


class KnownAccount(NamedTuple):
    """An open row of ``accounts``, in the order of its columns."""

    id: int
    key: str
    name: str
    kind: str
    can_login: bool | None
    locked: bool | None
    expires_at: str | None
    privileged_because: tuple[str, ...]

    def differs_from(self, fact: AccountFact) -> bool:
        """Tell whether what was read is not what is stored."""
        return self[2:] != (
            fact.name,
            fact.kind,
            fact.can_login,
            fact.locked,
            fact.expires_at,
            fact.privileged_because,
        )


def open_accounts(connection: Connection[Any], instance_id: int) -> dict[str, KnownAccount]:
    """Return every account of the instance that is not removed, by its engine key."""
    rows = connection.execute(
        "SELECT id, engine_key, name, kind, can_login, locked, expires_at, privileged_because"
        " FROM accounts WHERE instance_id = %s AND removed_at IS NULL",
        (instance_id,),
    )
    return {row[1]: KnownAccount._make((*row[:7], tuple(row[7]))) for row in rows}


def add(
    connection: Connection[Any],
    instance_id: int,
    facts: Sequence[AccountFact],
    first_seen_at: datetime,
) -> dict[str, KnownAccount]:
    """Write new accounts and return them by their engine key."""
    if not facts:
        return {}
    ids = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('accounts', 'id')) FROM generate_series(1, %s)",
        (len(facts),),
    ).fetchall()
    known = {
        fact.key: KnownAccount(
            row[0],
            fact.key,
            fact.name,
            fact.kind,
            fact.can_login,
            fact.locked,
            fact.expires_at,
            fact.privileged_because,
        )
        for fact, row in zip(facts, ids, strict=True)
    }
    rest = f"{instance_id}\t{first_seen_at.isoformat()}\n"
    copying.copy_lines(
        connection,
        "COPY accounts (id, engine_key, name, kind, can_login, locked, expires_at,"
        " privileged_because, privileged, instance_id, first_seen_at) FROM STDIN",
        (f"{_line(account)}\t{rest}".encode() for account in known.values()),
    )
    return known


def update(connection: Connection[Any], changed: Iterable[tuple[int, AccountFact]]) -> None:
    """Bring the columns of accounts up to what was read, in one statement."""
    documents = [
        {
            "id": account_id,
            "name": fact.name,
            "kind": fact.kind,
            "can_login": fact.can_login,
            "locked": fact.locked,
            "expires_at": fact.expires_at,
            "because": list(fact.privileged_because),
        }
        for account_id, fact in changed
    ]
    if documents:
        connection.execute(
            "UPDATE accounts AS a SET name = n.name, kind = n.kind, can_login = n.can_login,"
            " locked = n.locked, expires_at = n.expires_at, privileged_because = n.because,"
            " privileged = cardinality(n.because) > 0"
            " FROM jsonb_to_recordset(%s) AS n(id bigint, name text, kind text, can_login boolean,"
            " locked boolean, expires_at text, because text[]) WHERE a.id = n.id",
            (Jsonb(documents),),
        )


def remove(connection: Connection[Any], account_ids: Sequence[int], removed_at: datetime) -> None:
    """Mark accounts as gone; their rows and their history stay."""
    connection.execute(
        "UPDATE accounts SET removed_at = %s WHERE id = ANY (%s) AND removed_at IS NULL",
        (removed_at, list(account_ids)),
    )


def _line(account: KnownAccount) -> str:
    return "\t".join(
        (
            str(account.id),
            copying.text(account.key),
            copying.text(account.name),
            account.kind,
            copying.flag(account.can_login),
            copying.flag(account.locked),
            copying.text(account.expires_at),
            copying.texts(account.privileged_because),
            copying.flag(bool(account.privileged_because)),
        )
    )
