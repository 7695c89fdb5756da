"""Write what a read saw into the ledger, so that only what was fully seen can end anything.

One instance is written in several short transactions: the server scope first, then its databases a
few at a time. Each is complete in itself (facts, changes, observation and digest together), so a
crash between two of them loses nothing and the next attempt finds equal digests and writes nothing
twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from psycopg import Connection

from app.constants.accounts import AccountKind, ChangeKind
from app.constants.reading import ScopeStatus
from app.repositories import account_changes, account_scopes, accounts, databases, entitlements
from app.repositories.account_changes import Change
from app.repositories.account_scopes import Observation, ScopeState
from app.repositories.accounts import KnownAccount
from app.repositories.databases import KnownDatabase
from app.repositories.entitlements import Incoming
from app.repositories.remote.facts import (
    AccountFact,
    FactsByKey,
    ReadError,
    ServerContent,
    digest_of,
    facts_json,
)
from app.services.accounts_sync.differences import (
    Diff,
    difference,
    raises_privilege,
    without_new_words,
    words_of,
)
from app.services.accounts_sync.endings import end_accounts
from app.services.accounts_sync.objects import ObjectsComeAndGone
from app.services.accounts_sync.reading import ScopeReading
from app.services.accounts_sync.rights import rights_changes, without_list_of_accounts
from app.services.databases.endings import end_databases
from app.utils.collector import CollectedRarely

SERVER = 0
"""The server's number among the scopes of an instance."""

_OF_THE_ENGINE = (AccountKind.SYSTEM, AccountKind.PUBLIC)


@dataclass
class Written:
    """What was written for one instance, added up over its transactions."""

    accounts: int | None = None
    """How many exist; None if an equal digest made counting them needless."""
    accounts_created: int = 0
    accounts_removed: int = 0
    accounts_held: int = 0
    entitlements_changed: int = 0
    changes: int = 0


@dataclass
class InstanceLedger:
    """The ledger of one instance during one sync."""

    instance_id: int
    run_item_id: int
    mass_removal_percent: int
    mass_removal_minimum: int
    written: Written = field(default_factory=Written)
    databases: dict[str, KnownDatabase] = field(default_factory=dict)
    _states: dict[int | None, ScopeState] = field(default_factory=dict)
    _accounts: dict[str, KnownAccount] | None = None
    _missing: frozenset[int] = frozenset()
    _upgraded: bool = False
    _dropped: frozenset[str] = frozenset()
    """Databases that went since the last full read, whichever job saw it: told as
    DATABASE_DROPPED, not once a grant on them."""
    _brought: list[dict[str, Any]] = field(default_factory=list)
    """Grants of privileges that nobody on the server held before its engine was upgraded, each with
    its account: told in the one event of the upgrade, not once an account."""

    @CollectedRarely()
    def write_server(
        self,
        connection: Connection[Any],
        moment: datetime,
        reading: ScopeReading,
        *,
        old_version: str | None,
        old_rights: dict[str, Any] | None,
    ) -> None:
        """Write the server scope: accounts and what they hold, databases, our own rights.

        1. Equal digest: nothing has changed, touch nothing but the observation.
        2. Accounts: add new ones, update changed ones, hold or conclude removals.
        3. Databases: add, rename; close those that a full read no longer lists.
        4. Entitlements of the server scope, if it was seen fully.
        """
        content = reading.content
        assert isinstance(content, ServerContent)  # noqa: S101 - read_server returns nothing else
        self._states = account_scopes.states(connection, self.instance_id)
        state = self._states.get(None, ScopeState(None, None))
        full = reading.status is ScopeStatus.FULL
        changes: list[Change] = []
        digest: bytes | None = content.digest
        changed = 0
        self._upgraded = old_version is not None and old_version != content.version
        if full and state.full_digest == content.digest:
            self.databases = databases.open_databases(connection, self.instance_id)
            self._missing = frozenset(
                account_changes.held_account_ids(connection, self.instance_id)
            )
        else:
            facts = content.facts() if full else {}
            new_keys = self._write_accounts(connection, moment, content.accounts(), facts, changes)
            self._write_databases(connection, moment, content, full, changes, state.full_at)
            if full:
                changed, placed = self._write_entitlements(
                    connection,
                    moment,
                    SERVER,
                    facts,
                    first_sight=state.full_at is None,
                    changes=changes,
                    told=new_keys,
                )
                digest = content.digest if placed else None
        self.written.accounts_held = len(self._missing)
        listed = {database.name for database in content.databases}
        changes += rights_changes(old_rights, content.rights, listed)
        if self._upgraded:
            diff = {"attributes": {"version": [old_version, content.version]}}
            brought = {"added": self._brought} if self._brought else {}
            changes.append(Change(ChangeKind.ENGINE_UPGRADED, bool(self._brought), diff | brought))
        self._record_changes(connection, moment, changes)
        account_scopes.record(
            connection,
            self.run_item_id,
            self.instance_id,
            moment,
            [_observation(reading, None, changed, digest if full else None)],
        )

    @CollectedRarely()
    def write_databases(
        self, connection: Connection[Any], moment: datetime, readings: Sequence[ScopeReading]
    ) -> None:
        """Write a few database scopes; only fully seen ones touch entitlements."""
        digests: dict[int, bytes | None] = {}
        changed_by_scope: dict[int, int] = {}
        changes: list[Change] = []
        for reading in readings:
            database = self._database_of(reading)
            state = self._states.get(database.id, ScopeState(None, None))
            content = reading.content
            if reading.status is not ScopeStatus.FULL or content is None:
                continue
            digests[database.id] = content.digest
            if state.full_digest == content.digest:
                continue
            changed_by_scope[database.id], placed = self._write_entitlements(
                connection,
                moment,
                database.id,
                content.facts(),
                first_sight=state.full_at is None,
                changes=changes,
                database_name=database.name,
            )
            if not placed:
                digests[database.id] = None
        self._record_changes(connection, moment, changes)
        account_scopes.record(
            connection,
            self.run_item_id,
            self.instance_id,
            moment,
            [
                _observation(
                    reading,
                    self._database_of(reading).id,
                    changed_by_scope.get(self._database_of(reading).id, 0),
                    digests.get(self._database_of(reading).id),
                )
                for reading in readings
            ],
        )

    def write_unreadable(
        self,
        connection: Connection[Any],
        moment: datetime,
        error: ReadError,
        duration_ms: int,
        old_rights: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        """Record that the server scope could not be read; everything known stays as it is.

        Returns:
            The rights to remember from now on, if the refusal means that ours have shrunk.

        """
        account_scopes.record(
            connection,
            self.run_item_id,
            self.instance_id,
            moment,
            [
                Observation(
                    None,
                    "server",
                    error.status,
                    error.message,
                    error.remedy,
                    0,
                    duration_ms,
                    False,
                    None,
                )
            ],
        )
        account_scopes.mark_unreached(
            connection, self.instance_id, moment, f"the server could not be read: {error.message}"
        )
        if error.status is not ScopeStatus.DENIED or not old_rights:
            return None
        rights, changes = without_list_of_accounts(old_rights, error.message)
        self._record_changes(connection, moment, changes)
        return rights

    # -- accounts

    def _write_accounts(
        self,
        connection: Connection[Any],
        moment: datetime,
        read: list[AccountFact],
        facts: FactsByKey,
        changes: list[Change],
    ) -> frozenset[str]:
        known = accounts.open_accounts(connection, self.instance_id)
        baseline = not known
        read_keys = {fact.key for fact in read}
        new = [fact for fact in read if fact.key not in known]
        altered = [
            (known[f.key].id, f) for f in read if f.key in known and known[f.key].differs_from(f)
        ]
        missing = [account for key, account in known.items() if key not in read_keys]
        names = {account.key: account.name for account in known.values()}
        names.update({fact.key: fact.name for fact in read})
        added = accounts.add(connection, self.instance_id, new, moment)
        accounts.update(connection, altered)
        changes += [
            Change(
                ChangeKind.ACCOUNT_RENAMED,
                False,
                {"attributes": {"name": [known[fact.key].name, fact.name]}},
                account_id,
                fact.name,
            )
            for account_id, fact in altered
            if known[fact.key].name != fact.name
        ]
        if not baseline:
            for fact in new:
                if self._upgraded and fact.kind is AccountKind.SYSTEM:
                    continue
                diff = difference(None, facts.get(fact.key), lambda key: names.get(key, key))
                changes.append(
                    Change(
                        ChangeKind.ACCOUNT_CREATED,
                        bool(fact.privileged_because) or raises_privilege(diff),
                        diff,
                        added[fact.key].id,
                        fact.name,
                    )
                )
        renamed = {fact.key: known[fact.key]._replace(name=fact.name) for _, fact in altered}
        self._accounts = {**known, **added, **renamed}
        self._conclude_missing(connection, moment, missing, known.values(), changes)
        self.written.accounts = len(read)
        self.written.accounts_created = 0 if baseline else len(new)
        return frozenset(fact.key for fact in new)

    def _conclude_missing(
        self,
        connection: Connection[Any],
        moment: datetime,
        missing: list[KnownAccount],
        known: Collection[KnownAccount],
        changes: list[Change],
    ) -> None:
        # the engine's own accounts never vanish by accident: they would only water down the share
        vanished = sum(account.kind not in _OF_THE_ENGINE for account in missing)
        before = sum(account.kind not in _OF_THE_ENGINE for account in known)
        many = vanished >= self.mass_removal_minimum
        if many and vanished * 100 > self.mass_removal_percent * before:
            held_before = set(account_changes.held_account_ids(connection, self.instance_id))
            self._missing = frozenset(account.id for account in missing)
            account_changes.hold(
                connection, self.instance_id, moment, sorted(self._missing), before
            )
            if not self._missing <= held_before:
                names = sorted(account.name for account in missing)
                changes.append(
                    Change(
                        ChangeKind.REMOVAL_HELD,
                        False,
                        {"removed": [{"fact": "account", "name": name} for name in names]},
                    )
                )
            return
        account_changes.settle(connection, self.instance_id, "returned", moment, None)
        self._missing = frozenset()
        if missing:
            changes += end_accounts(
                connection, [(a.id, a.name) for a in missing], moment, self._name_of
            )
            self.written.accounts_removed = len(missing)
            gone = {account.id for account in missing}
            self._accounts = {
                key: a for key, a in self._known(connection).items() if a.id not in gone
            }

    # -- databases

    def _write_databases(
        self,
        connection: Connection[Any],
        moment: datetime,
        content: ServerContent,
        full: bool,
        changes: list[Change],
        last_full_at: datetime | None,
    ) -> None:
        # an engine whose server scope says it all lists none: whether one is gone others conclude
        if full and content.databases:
            before = databases.open_databases(connection, self.instance_id)
            listed = {database.key for database in content.databases}
            gone = {known.id: known.name for key, known in before.items() if key not in listed}
            changes += end_databases(connection, self.instance_id, gone, moment)
            self._dropped = frozenset(gone.values()) | databases.names_closed_since(
                connection, self.instance_id, last_full_at
            )
        self.databases = databases.upsert(connection, self.instance_id, content.databases, moment)

    def _database_of(self, reading: ScopeReading) -> KnownDatabase:
        assert reading.database is not None  # noqa: S101 - only the server's reading has none
        return self.databases[reading.database.key]

    # -- entitlements

    def _write_entitlements(
        self,
        connection: Connection[Any],
        moment: datetime,
        scope: int,
        facts: FactsByKey,
        *,
        first_sight: bool,
        changes: list[Change],
        told: frozenset[str] = frozenset(),
        database_name: str | None = None,
    ) -> tuple[int, bool]:
        """Make the open entitlements of one scope what was read.

        With ``first_sight`` it was never seen fully, so nothing is open: a baseline, not a change.
        The accounts in ``told`` are new: what they hold is told with their creation.

        Returns:
            How many accounts' entitlements changed, and whether every fact found its account: one
            for a role that was created after the list of accounts was read has to wait for the
            next sync.

        """
        known = self._known(connection)
        placed = facts.keys() <= known.keys()
        if first_sight:
            count = entitlements.open_new(
                connection, self.instance_id, moment, _incoming(scope, facts, known)
            )
            return count, placed
        incoming = list(_incoming(scope, facts, known))
        by_id = {account.id: account for account in known.values()}
        differing = [
            row
            for row in entitlements.those_that_differ(
                connection, self.instance_id, [scope], incoming
            )
            if row.account_id in by_id
            and (row.holds_something_now or row.account_id not in self._missing)
        ]
        ended = [row.entitlement_id for row in differing if row.entitlement_id is not None]
        entitlements.close(connection, ended, moment)
        wanted = {row.account_id for row in differing if row.holds_something_now}
        entitlements.open_new(
            connection,
            self.instance_id,
            moment,
            (row for row in incoming if row.account_id in wanted),
        )
        before = {by_id[row.account_id].key: row.facts_before for row in differing}
        objects = ObjectsComeAndGone(before, facts, self._name_of)
        upgraded = self._upgraded and scope == SERVER
        known_words: set[str] = set()
        if upgraded:
            unchanged = (held for key, held in facts.items() if key not in before)
            held_before = chain((held for held in before.values() if held), unchanged)
            known_words = {word for held in held_before for word in words_of(held)}
        for key, held in before.items():
            if key in told:
                continue
            diff = difference(held, facts.get(key), self._name_of)
            diff = objects.explain(key, self._without_told(diff))
            if upgraded:
                whole, (diff, words) = diff, without_new_words(diff, known_words)
                self._brought += [
                    {**fact, "account": known[key].name}
                    for fact in whole.get("added", ())
                    if fact["fact"] == "grant" and fact["privilege"] in words
                ]
            if diff:
                changes.append(
                    Change(
                        ChangeKind.ACCESS_CHANGED,
                        raises_privilege(diff),
                        diff,
                        known[key].id,
                        known[key].name,
                        scope or None,
                        database_name,
                    )
                )
        self.written.entitlements_changed += len(differing)
        return len(differing), placed

    def _without_told(self, diff: Diff) -> Diff:
        """Leave out what another change tells already: a rename, the end of a database."""
        attributes = {k: v for k, v in diff.get("attributes", {}).items() if k != "name"}
        removed = [
            fact
            for fact in diff.get("removed", ())
            if not (fact.get("on") == "database" and fact["name"][0] in self._dropped)
        ]
        rest = {**diff, "attributes": attributes, "removed": removed}
        return {key: value for key, value in rest.items() if value}

    def _known(self, connection: Connection[Any]) -> dict[str, KnownAccount]:
        if self._accounts is None:
            self._accounts = accounts.open_accounts(connection, self.instance_id)
        return self._accounts

    def _name_of(self, key: str) -> str:
        account = (self._accounts or {}).get(key)
        return account.name if account else key

    # -- changes

    def _record_changes(
        self, connection: Connection[Any], moment: datetime, changes: Sequence[Change]
    ) -> None:
        if changes:
            account_changes.record(connection, self.run_item_id, self.instance_id, moment, changes)
            self.written.changes += len(changes)


def _incoming(scope: int, facts: FactsByKey, known: dict[str, KnownAccount]) -> Iterator[Incoming]:
    for key, held in facts.items():
        if key in known:
            document = facts_json(held)
            yield Incoming(known[key].id, scope, digest_of(document), document)


def _observation(
    reading: ScopeReading, database_id: int | None, changed: int, digest: bytes | None
) -> Observation:
    return Observation(
        database_id,
        reading.name,
        reading.status,
        reading.reason,
        reading.remedy,
        changed,
        reading.duration_ms,
        reading.expected,
        digest,
    )
