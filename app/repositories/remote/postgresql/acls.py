"""What ACLs say, as facts: default privileges filled in, the owner's own left to ownership."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from app.repositories.remote.facts import Facts, FactsByKey

PUBLIC = "0"
BOOTSTRAP = "10"
"""The superuser that initdb created; it owns what is built in."""


class Entry(NamedTuple):
    """What one grantor gave one grantee on one object; words are sorted."""

    grantee: str
    grantor: str
    privileges: tuple[str, ...]
    grantable: tuple[str, ...]


class Reading(NamedTuple):
    """How the ACL of one object adds to the facts."""

    grants: tuple[tuple[str, Facts], ...]
    """Grantee, and the part of its grant that does not depend on the object."""
    reduced: bool
    revokes: tuple[tuple[str, list[str]], ...]
    """Grantee, and what it would hold if nobody had taken it away."""


def entries(exploded: str | None) -> tuple[Entry, ...]:
    """Return the entries of ``grantee/grantor/PRIVILEGE[*],…``, as the ``.sql`` files print it."""
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for item in exploded.split(",") if exploded else ():
        grantee, grantor, privilege = item.split("/", 2)
        plain, grantable = found.setdefault((grantee, grantor), ([], []))
        if privilege.endswith("*"):
            grantable.append(privilege[:-1])
        else:
            plain.append(privilege)
    return tuple(
        Entry(grantee, grantor, tuple(sorted(plain)), tuple(sorted(grantable)))
        for (grantee, grantor), (plain, grantable) in sorted(found.items())
    )


class Acls:
    """The distinct ACLs of one scope; each is understood once, however many objects carry it."""

    def __init__(
        self,
        exploded: Iterable[Sequence[str | None]],
        built_in_defaults: Iterable[Sequence[str | None]],
    ) -> None:
        self._exploded = {row[0]: row[1] for row in exploded}
        self._defaults = {row[0]: entries(row[1]) for row in built_in_defaults}
        self.understand = cache(self._understand)

    def entries(self, acl: str) -> tuple[Entry, ...]:
        """Return the entries of an ACL as the server prints it; ``{}`` has none."""
        return entries(self._exploded.get(acl))

    def default(self, letter: str, owner: str) -> tuple[Entry, ...]:
        """Return what an object of this kind grants while nobody has touched its ACL."""
        return self.owned_by(owner, self._defaults.get(letter, ()))

    @staticmethod
    def owned_by(owner: str, spelled: Iterable[Entry]) -> tuple[Entry, ...]:
        """Return entries that are spelled for the bootstrap superuser as an owner's."""
        return tuple(
            Entry(
                owner if entry.grantee == BOOTSTRAP else entry.grantee,
                owner,
                entry.privileges,
                entry.grantable,
            )
            for entry in spelled
        )

    def _understand(
        self, letter: str, owner: str, acl: str | None, built_in: bool, initial: str | None
    ) -> Reading:
        """Return what an object's ACL means; of a built-in one what differs from initdb's."""
        current = self.default(letter, owner) if acl is None else self.entries(acl)
        if built_in:
            given = self.default(letter, owner)
            if initial is not None:
                given = self.owned_by(owner, self.entries(initial))
            return difference(current, given)
        return whole(current, self.default(letter, owner), owner)


def whole(current: tuple[Entry, ...], default: tuple[Entry, ...], owner: str) -> Reading:
    """Return everything that is granted; the owner's own privileges only if they are not all."""
    full = next((entry for entry in default if entry.grantee == owner), None)
    own = next((entry for entry in current if entry.grantee == entry.grantor == owner), None)
    grants = tuple((entry.grantee, _grant(entry)) for entry in current if entry != full)
    held = set(own.privileges + own.grantable) if own else set()
    return Reading(grants, full is not None and not held.issuperset(full.privileges), ())


def difference(current: tuple[Entry, ...], given: tuple[Entry, ...]) -> Reading:
    """Return what is granted beyond what was given, and what was given and is gone."""
    before = {(entry.grantee, entry.grantor): entry for entry in given}
    after = {(entry.grantee, entry.grantor): entry for entry in current}
    grants, revokes = [], []
    for pair, entry in after.items():
        known = before.get(pair)
        plain, grantable = set(entry.privileges), set(entry.grantable)
        if known:
            plain -= set(known.privileges)
            grantable -= set(known.grantable)
        if plain or grantable:
            added = Entry(*pair, tuple(sorted(plain)), tuple(sorted(grantable)))
            grants.append((entry.grantee, _grant(added)))
    for pair, entry in before.items():
        now = after.get(pair)
        held = set(now.privileges + now.grantable) if now else set()
        if gone := set(entry.privileges + entry.grantable) - held:
            revokes.append((entry.grantee, sorted(gone)))
    return Reading(tuple(grants), reduced=False, revokes=tuple(revokes))


def _grant(entry: Entry) -> Facts:
    grant: Facts = {"by": entry.grantor}
    if entry.privileges:
        grant["privileges"] = list(entry.privileges)
    if entry.grantable:
        grant["grantable"] = list(entry.grantable)
    return grant


class Ledger:
    """The facts of one scope while they are gathered, by account."""

    def __init__(self) -> None:
        self._facts: FactsByKey = {}

    def add(self, account: str, list_name: str, fact: Facts) -> None:
        """Add one fact to a list of an account's."""
        facts = self._facts.get(account)
        if facts is None:
            facts = self._facts[account] = {}
        found = facts.get(list_name)
        if found is None:
            found = facts[list_name] = []
        found.append(fact)

    def add_object(self, on: str, name: list[str], owner: str | None, reading: Reading) -> None:
        """Add an object: whose it is (None: nobody's that counts) and what its ACL says."""
        where: Facts = {"on": on, "name": name}
        if owner is not None:
            self.add(owner, "owns", {**where, "reduced": True} if reading.reduced else where)
        for grantee, grant in reading.grants:
            self.add(grantee, "grants", {**where, **grant})
        for grantee, privileges in reading.revokes:
            self.add(grantee, "revokes", {**where, "privileges": privileges})

    def set_attributes(self, account: str, attributes: Facts) -> None:
        """Set what an account is."""
        self._facts.setdefault(account, {})["attributes"] = attributes

    def finish(self) -> FactsByKey:
        """Return the facts, every list sorted."""
        for facts in self._facts.values():
            for list_name, found in facts.items():
                if list_name != "attributes" and len(found) > 1:
                    found.sort(key=_ORDER[list_name])
        return self._facts


_ORDER = {
    "memberships": lambda fact: (fact["role"], fact["by"]),
    "grants": lambda fact: (fact["on"], fact["name"], fact["by"]),
    "owns": lambda fact: (fact["on"], fact["name"]),
    "revokes": lambda fact: (fact["on"], fact["name"]),
    "default_grants": lambda fact: (fact["schema"] or "", fact["on"], fact["to"]),
}
