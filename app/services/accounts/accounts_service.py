"""What people ask the account ledger, and the one thing they decide: held removals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import select

from app.constants.accounts import AccountKind
from app.constants.engines import Engine
from app.models import Instance, db
from app.repositories import account_changes, account_views, accounts
from app.repositories.partitions import ensure_partition
from app.repositories.remote import reader_for
from app.repositories.remote.facts import AccountFact, FactsByKey
from app.services.accounts import wording
from app.services.accounts_sync.endings import end_accounts


@dataclass(frozen=True)
class AccountRow:
    """One account as lists show it; None is unknown."""

    id: int
    instance: str
    engine: str
    name: str
    kind: str
    can_login: bool | None
    locked: bool | None
    expires_at: str | None
    privileged: bool
    privileged_because: list[str]
    first_seen_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True)
class AccountPage:
    """Some accounts; ``next_after`` continues the list, None ends it."""

    rows: list[AccountRow]
    next_after: str | None


@dataclass(frozen=True)
class ScopeDetail:
    """What an account holds in one scope, and how far that is to be trusted."""

    scope: str
    status: str
    reason: str | None
    full_at: datetime | None
    valid_from: datetime | None
    facts: dict[str, Any] | None
    """None: it holds nothing there if the scope was ever fully seen (``full_at``), else unknown."""
    lines: list[str]


@dataclass(frozen=True)
class ChangeRow:
    """One change, with its words."""

    id: int
    occurred_at: datetime
    instance: str
    account: str | None
    database: str | None
    kind: str
    raised: bool
    title: str
    lines: list[str]
    diff: dict[str, Any]


@dataclass(frozen=True)
class ChangePage:
    """Some changes, newest first; ``next_after`` continues the list, None ends it."""

    rows: list[ChangeRow]
    next_after: str | None


@dataclass(frozen=True)
class AccountDetail:
    """One account, what it holds everywhere, and what happened to it lately."""

    account: AccountRow
    scopes: list[ScopeDetail]
    changes: list[ChangeRow]


@dataclass(frozen=True)
class HeldRow:
    """A removal that waits for a person."""

    id: int
    instance: str
    held_at: datetime
    accounts: list[str]
    accounts_before: int


@dataclass(frozen=True)
class UnseenScope:
    """A scope that the last sync did not see fully."""

    scope: str
    status: str
    reason: str | None
    remedy: str | None


@dataclass(frozen=True)
class InstanceOverview:
    """What the ledger holds of one instance."""

    instance: str
    engine: str
    version: str | None
    accounts: int
    privileged: int
    changes_24h: int
    raised_24h: int
    held: int
    scopes_full: int
    scopes_not_seen: list[UnseenScope]
    """Without those that are skipped on every server."""
    last_sync_at: datetime | None
    state: str | None
    error: str | None


class AccountsService:
    """Answers from the ledger; never asks a server."""

    def list_accounts(
        self,
        *,
        instance: str | None = None,
        engine: str | None = None,
        name_like: str | None = None,
        privileged: bool | None = None,
        kind: str | None = None,
        include_system: bool = False,
        include_removed: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> AccountPage:
        """Return accounts in the order of their names.

        Raises:
            ValueError: ``after`` is not the ``next_after`` of an earlier page.

        """
        after_id, after_name = _split_cursor(after)
        rows = account_views.list_accounts(
            _connection(),
            instance=instance,
            engine=engine,
            name_like=name_like,
            privileged=privileged,
            kind=kind,
            include_system=include_system,
            include_removed=include_removed,
            limit=limit + 1,
            after_name=after_name,
            after_id=after_id,
        )
        page = [_account(row) for row in rows[:limit]]
        more = len(rows) > limit
        return AccountPage(page, f"{page[-1].id}:{page[-1].name}" if more else None)

    def show_account(
        self, instance_name: str, account_name: str, at: datetime | None = None
    ) -> AccountDetail:
        """Return one account with everything that it holds, now or at an earlier moment.

        Raises:
            LookupError: There is no such account; the message says what to do.

        """
        connection = _connection()
        found = account_views.accounts_named(connection, instance_name, account_name)
        if at is not None:
            found = [
                row
                for row in found
                if row.first_seen_at <= at and (row.removed_at is None or row.removed_at > at)
            ]
        if not found:
            raise LookupError(
                f"No account {account_name!r} is known on instance {instance_name!r}. See"
                f" `whalefall accounts list --instance {instance_name}`; MySQL and MariaDB accounts"
                " are written user@host."
            )
        account = found[0]
        names = account_views.names_by_key(connection, account.id)
        scopes = [
            ScopeDetail(
                row.scope,
                row.status,
                row.reason,
                row.full_at,
                row.valid_from,
                row.facts,
                wording.holding_lines(row.facts or {}, lambda key: names.get(key, key)),
            )
            for row in account_views.holdings(connection, account.id, at)
        ]
        changes = account_views.list_changes(connection, account_id=account.id, limit=20)
        return AccountDetail(_account(account), scopes, [_change(row) for row in changes])

    def grant_statements(
        self, instance_name: str, at: datetime | None = None
    ) -> dict[str | None, list[str]]:
        """Return the engine's own SQL that would make the ledger true on a server.

        It makes the accounts without their passwords and gives them all that they hold; the objects
        themselves (databases, tables …) have to be there. Scopes that were never fully seen are not
        in it. ``at`` asks for an earlier moment.

        Returns:
            Statements in their order, by the database in which to run them; None is any database,
            and comes first.

        Raises:
            LookupError: There is no such instance, or nothing is known of it at that moment.

        """
        instance = db.session.scalar(
            select(Instance).where(Instance.name == instance_name, Instance.removed_at.is_(None))
        )
        rows = account_views.snapshot(_connection(), instance.id, at) if instance else []
        if instance is None or not rows:
            raise LookupError(
                f"Nothing is known of an instance {instance_name!r} at that moment."
                " See `whalefall instance list` and `whalefall accounts overview`."
            )
        known: dict[str, AccountFact] = {}
        server: FactsByKey = {}
        databases: dict[str, FactsByKey] = {}
        for row in rows:
            known[row.key] = AccountFact(
                row.key,
                row.name,
                AccountKind(row.kind),
                row.can_login,
                row.locked,
                row.expires_at,
            )
            where = server if row.database is None else databases.setdefault(row.database, {})
            where[row.key] = row.facts
        reader = reader_for(Engine(instance.engine))
        return reader.grant_statements(list(known.values()), server, databases)

    def list_changes(
        self,
        *,
        instance: str | None = None,
        since: datetime | None = None,
        raised_only: bool = False,
        account: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> ChangePage:
        """Return changes, newest first.

        Raises:
            ValueError: ``after`` is not the ``next_after`` of an earlier page.

        """
        after_id, moment = _split_cursor(after)
        rows = account_views.list_changes(
            _connection(),
            instance=instance,
            since=since,
            raised_only=raised_only,
            account=account,
            limit=limit + 1,
            after_at=datetime.fromisoformat(moment) if moment else None,
            after_id=after_id,
        )
        page = [_change(row) for row in rows[:limit]]
        more = len(rows) > limit
        return ChangePage(
            page, f"{page[-1].id}:{page[-1].occurred_at.isoformat()}" if more else None
        )

    def list_held(self) -> list[HeldRow]:
        """Return the removals that wait for a person, the oldest first."""
        return [
            HeldRow(row.id, row.instance, row.held_at, list(row.accounts), row.accounts_before)
            for row in account_views.list_held(_connection())
        ]

    def confirm_removal(self, instance_name: str, by: str) -> int:
        """Conclude that the accounts of a held removal are gone, since they were first missed.

        Returns:
            How many accounts were removed.

        Raises:
            LookupError: Nothing is held for this instance.

        """
        instance = db.session.scalar(
            select(Instance)
            .where(Instance.name == instance_name, Instance.removed_at.is_(None))
            .with_for_update(of=Instance)
        )
        connection = _connection()
        now: datetime = connection.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index] # one row
        settled = instance and account_changes.settle(connection, instance.id, "confirmed", now, by)
        if not instance or not settled:
            db.session.rollback()
            raise LookupError(
                f"No removal waits on instance {instance_name!r}. See `whalefall accounts held`."
            )
        held_at, account_ids = settled
        known = {a.id: a for a in accounts.open_accounts(connection, instance.id).values()}
        gone = [known[account_id] for account_id in account_ids if account_id in known]
        by_key = {account.key: account.name for account in known.values()}
        changes = end_accounts(
            connection, [(a.id, a.name) for a in gone], held_at, lambda key: by_key.get(key, key)
        )
        ensure_partition(db.session.connection(), "account_changes", now)
        account_changes.record(connection, None, instance.id, now, changes)
        db.session.commit()
        return len(gone)

    def overview(self) -> list[InstanceOverview]:
        """Return what the ledger holds of every instance, in the order of their names."""
        return [
            InstanceOverview(
                row.instance,
                row.engine,
                row.version,
                row.accounts,
                row.privileged,
                row.changes_24h,
                row.raised_24h,
                row.held,
                row.scopes_full,
                [UnseenScope(*values) for values in row.scopes_not_seen],
                row.last_sync_at,
                row.state,
                row.error,
            )
            for row in account_views.overview(_connection())
        ]


def _connection() -> Connection[Any]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value] # psycopg's own


def _account(row: Any) -> AccountRow:
    values = row._asdict()
    return AccountRow(**{name: values[name] for name in AccountRow.__dataclass_fields__})


def _change(row: Any) -> ChangeRow:
    return ChangeRow(
        row.id,
        row.occurred_at,
        row.instance,
        row.account,
        row.database,
        row.kind,
        row.raised,
        wording.title(row.kind),
        wording.change_lines(row.kind, row.diff),
        row.diff,
    )


def _split_cursor(after: str | None) -> tuple[int | None, str | None]:
    if after is None:
        return None, None
    number, _, rest = after.partition(":")
    if not number.isdigit() or not rest:
        raise ValueError("The place to continue from is not one that an earlier page named.")
    return int(number), rest


accounts_service = AccountsService()
