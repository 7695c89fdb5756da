"""Objects that came or went between two reads, and so explain changes that nobody made by a GRANT.

A table that was created brings its owner, and brings what its owner's default privileges promised
long ago. Both are facts and both are told, but neither raises a privilege: whoever looks for that
must not have to look through every new partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.repositories.remote.facts import Facts, FactsByKey
from app.services.accounts_sync.differences import Diff, NameOf

Identity = tuple[str, ...]

_DEFAULTS_OF = {
    "view": "table",
    "materialized view": "table",
    "foreign table": "table",
    "function": "routine",
    "procedure": "routine",
    "aggregate": "routine",
    "domain": "type",
}
"""What ALTER DEFAULT PRIVILEGES calls an object, where that is not its own name."""

_PUBLIC = "0"
_BUILT_IN = {("routine", "EXECUTE"), ("type", "USAGE")}
"""What PostgreSQL itself promises everybody of every new object."""


class ObjectsComeAndGone:
    """Which objects of one scope came and which went, and what was promised of those that came."""

    def __init__(
        self, before: Mapping[str, Facts | None], now: FactsByKey, name_of: NameOf
    ) -> None:
        """Compare ownership before and after.

        Args:
            before: Of every account that changed, its facts as they were, by its key.
            now: All facts of the scope as they are.
            name_of: Turns the key of an account into its name.

        """
        owned_before = {i for facts in before.values() for i in _owned(facts)}
        owners = {i: key for key in before for i in _owned(now.get(key))}
        self._came = {i: key for i, key in owners.items() if i not in owned_before}
        self._went = owned_before - owners.keys()
        self._now = now
        self._name_of = name_of

    def explain(self, key: str, diff: Diff) -> Diff:
        """Mark in an account's diff what came with an object, or went with it.

        The marks are "created" and "dropped" for objects, "by_default" for what was promised.
        """
        if not self._came and not self._went:
            return diff
        for fact in diff.get("added", ()):
            identity = _identity(fact)
            if identity not in self._came:
                continue
            if fact["fact"] == "ownership":
                fact["created"] = True
            elif fact["fact"] == "grant" and self._was_promised(fact, key, self._came[identity]):
                fact["by_default"] = True
        for fact in diff.get("removed", ()):
            if fact["fact"] in ("ownership", "grant") and _identity(fact) in self._went:
                fact["dropped"] = True
        return diff

    def _was_promised(self, fact: dict[str, Any], key: str, owner: str) -> bool:
        if fact.get("by") != self._name_of(owner):
            return False
        kind = _DEFAULTS_OF.get(fact["on"], fact["on"])
        if key == _PUBLIC and (kind, fact["privilege"]) in _BUILT_IN:
            return True
        return any(
            entry["to"] == key
            and entry["on"] == kind
            and entry.get("schema") in (None, fact["name"][0])
            and fact["privilege"] in (*entry.get("privileges", ()), *entry.get("grantable", ()))
            for entry in self._now.get(owner, {}).get("default_grants", ())
        )


def _owned(facts: Facts | None) -> Iterator[Identity]:
    for entry in (facts or {}).get("owns", ()):
        yield _identity(entry)


def _identity(fact: dict[str, Any]) -> Identity:
    return (str(fact.get("on")), *(str(part) for part in fact.get("name", ())))
