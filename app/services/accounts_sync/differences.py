"""What changed between two states of one account's facts in one scope.

A diff is ``{"added": [fact …], "removed": [fact …], "attributes": {name: [before, after]}}`` with
the empty parts left out. Its facts are flat: one privilege, one membership, one owned object each,
and they carry the names of roles as they were at that moment, because a diff must be readable years
later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.repositories.remote.facts import Facts

Diff = dict[str, Any]
NameOf = Callable[[str], str]

_RAISED_WHEN_TRUE = frozenset(
    {"superuser", "createrole", "createdb", "replication", "bypassrls", "inherit", "login"}
)
_RAISED_WHEN_FALSE = frozenset({"account_locked", "password_expired", "locked"})
_OPTIONS = ("grantable", "admin", "inherit", "set", "default")
"""What makes one and the same grant stronger."""


def difference(before: Facts | None, after: Facts | None, name_of: NameOf) -> Diff:
    """Return what has to be added to and removed from ``before`` to get ``after``; {} if equal.

    Args:
        before: Facts as they were; None if the account held nothing here.
        after: Facts as they are now; None likewise.
        name_of: Turns the key of an account into its name.

    """
    old = {_identity(fact): fact for fact in _flat(before or {}, name_of)}
    new = {_identity(fact): fact for fact in _flat(after or {}, name_of)}
    diff: Diff = {}
    if added := [new[key] for key in new.keys() - old.keys()]:
        diff["added"] = sorted(added, key=_identity)
    if removed := [old[key] for key in old.keys() - new.keys()]:
        diff["removed"] = sorted(removed, key=_identity)
    old_attributes = (before or {}).get("attributes", {})
    new_attributes = (after or {}).get("attributes", {})
    changed = {
        name: [old_attributes.get(name), new_attributes.get(name)]
        for name in sorted(old_attributes.keys() | new_attributes.keys())
        if old_attributes.get(name) != new_attributes.get(name)
    }
    if changed:
        diff["attributes"] = changed
    return diff


def raises_privilege(diff: Diff) -> bool:
    """Tell whether somebody may do something after the diff that he could not do before.

    The same grant coming from somebody else, or coming back weaker, raises nothing; nor does what
    came with a new object by ownership or by default (see ``objects``).
    """
    before = {_essence(fact): fact for fact in diff.get("removed", ())}
    for fact in diff.get("added", ()):
        if fact["fact"] == "revoke" or fact.get("created") or fact.get("by_default"):
            continue
        same = before.get(_essence(fact))
        if same is None or any(fact.get(o) and not same.get(o) for o in _OPTIONS):
            return True
    if any(fact["fact"] == "revoke" for fact in diff.get("removed", ())):
        return True
    return any(
        (name in _RAISED_WHEN_TRUE and after is True and before is not True)
        or (name in _RAISED_WHEN_FALSE and before is True and after is not True)
        for name, (before, after) in diff.get("attributes", {}).items()
    )


def without_new_words(diff: Diff, known_words: set[str]) -> tuple[Diff, set[str]]:
    """Split off privileges that the ledger had never heard of: an engine's upgrade brought them.

    Returns:
        The diff without them, and the words that were split off.

    """
    added = diff.get("added", [])
    new = [f for f in added if f["fact"] == "grant" and f["privilege"] not in known_words]
    if not new:
        return diff, set()
    kept: Diff = {key: value for key, value in diff.items() if key != "added"}
    if rest := [fact for fact in added if fact not in new]:
        kept["added"] = rest
    return kept, {fact["privilege"] for fact in new}


def words_of(facts: Facts) -> Iterator[str]:
    """Yield every privilege's name that occurs in the grants of the facts."""
    for grant in facts.get("grants", ()):
        yield from grant.get("privileges", ())
        yield from grant.get("grantable", ())


def _flat(facts: Facts, name_of: NameOf) -> Iterator[dict[str, Any]]:
    for entry in facts.get("memberships", ()):
        fact = {"fact": "membership", **entry, "role": name_of(entry["role"])}
        yield _named(fact, name_of)
    for entry in facts.get("grants", ()):
        yield from _each_privilege("grant", entry, name_of)
    for entry in facts.get("owns", ()):
        yield {"fact": "ownership", **entry}
    for entry in facts.get("default_grants", ()):
        yield from _each_privilege("default_grant", entry, name_of)
    for entry in facts.get("revokes", ()):
        yield from _each_privilege("revoke", entry, name_of)


def _each_privilege(word: str, entry: dict[str, Any], name_of: NameOf) -> Iterator[dict[str, Any]]:
    rest = {k: v for k, v in entry.items() if k not in ("privileges", "grantable")}
    for privilege in entry.get("privileges", ()):
        yield _named({"fact": word, **rest, "privilege": privilege}, name_of)
    for privilege in entry.get("grantable", ()):
        yield _named({"fact": word, **rest, "privilege": privilege, "grantable": True}, name_of)


def _named(fact: dict[str, Any], name_of: NameOf) -> dict[str, Any]:
    for key in ("by", "to"):
        if fact.get(key) is not None:
            fact[key] = name_of(fact[key])
    return fact


def _identity(fact: dict[str, Any]) -> str:
    return repr(sorted(fact.items()))


def _essence(fact: dict[str, Any]) -> str:
    left_out: Iterable[str] = ("by", "reduced", "dropped", *_OPTIONS)
    return repr(sorted((k, v) for k, v in fact.items() if k not in left_out))
