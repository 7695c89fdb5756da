"""From facts back to SQL: owners and grants of objects, in an order that the server allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from app.repositories.remote.facts import FactsByKey
from app.repositories.remote.postgresql.acls import BOOTSTRAP, PUBLIC
from app.repositories.remote.postgresql.quoting import identifier

_RELATIONS = ("table", "view", "materialized view", "foreign table", "sequence")
_GRANT_ON = {
    "view": "TABLE",
    "materialized view": "TABLE",
    "foreign table": "TABLE",
    "column": "TABLE",
    "function": "ROUTINE",
    "aggregate": "ROUTINE",
    "procedure": "ROUTINE",
    "domain": "TYPE",
    "row type": "TYPE",
    "multirange type": "TYPE",
}
_ALTER = {
    "function": "ROUTINE",
    "aggregate": "ROUTINE",
    "procedure": "ROUTINE",
    "foreign server": "SERVER",
    "untrusted language": "LANGUAGE",
}
_BY_DEFAULT = {
    "database": {"CONNECT", "TEMPORARY"},
    "function": {"EXECUTE"},
    "aggregate": {"EXECUTE"},
    "procedure": {"EXECUTE"},
    "language": {"USAGE"},
    "domain": {"USAGE"},
    "type": {"USAGE"},
    "row type": {"USAGE"},
    "multirange type": {"USAGE"},
}
"""What PUBLIC holds on an object that nobody has touched."""
_TOUCHED_BY_INITDB = {
    ("database", ("template0",)),
    ("database", ("template1",)),
    ("database", ("postgres",)),
    ("schema", ("public",)),
}
_FOLLOW_ANOTHER_OBJECT = {"row type", "multirange type", "column", "parameter"}
"""Kinds that have no owner of their own."""
_BUILT_IN_SCHEMAS = {"pg_catalog", "information_schema"}


class Grant(NamedTuple):
    """One privilege that one role gave another."""

    grantee: str
    by: str
    privilege: str
    grantable: bool


@dataclass
class _Object:
    on: str
    name: tuple[str, ...]
    owner: str = BOOTSTRAP
    owned: bool = False
    reduced: bool = False
    grants: list[Grant] = field(default_factory=list)
    revokes: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def built_in(self) -> bool:
        """Whether its facts tell only what differs from how initdb left it."""
        return not self.owned or (len(self.name) > 1 and self.name[0] in _BUILT_IN_SCHEMAS)

    @property
    def target(self) -> str:
        """How GRANT … ON names it."""
        kind = _GRANT_ON.get(self.on, self.on.upper())
        return f"{kind} {_qualified(self.on, self.name)}"


def object_statements(
    facts: FactsByKey, roles: dict[str, str], superusers: set[str]
) -> Iterator[str]:
    """Yield the statements that give the objects of one scope their owners and grants.

    1. Owners. 2. What owners and PUBLIC lost. 3. What owners granted. 4. What others granted on, as
    themselves; to be able to name the objects they may use every schema meanwhile. 5. Schemas,
    last, because the step before opened them.
    """
    objects = sorted(_objects(facts, roles), key=_owners_first)
    for thing in objects:
        yield from _owner_statements(thing, roles, superusers)
    inner = [thing for thing in objects if thing.on not in {"schema", "column"}]
    columns = [thing for thing in objects if thing.on == "column"]
    schemas = [thing for thing in objects if thing.on == "schema"]
    for group in (inner, columns):
        for thing in group:
            yield from _direct_statements(thing, roles)
    options = {
        thing.name: {(grant.grantee, grant.privilege) for grant in thing.grants if grant.grantable}
        for thing in inner
        if thing.on in _RELATIONS
    }
    passed_on = [
        statement
        for group in (inner, columns)
        for thing in group
        for statement in _passed_on(thing, roles, superusers, options.get(thing.name[:2], set()))
    ]
    if passed_on:
        open_to_all = [thing.target for thing in schemas if not thing.built_in]
        yield from (f"GRANT USAGE ON {schema} TO PUBLIC" for schema in open_to_all)
        yield from passed_on
        yield from (f"REVOKE USAGE ON {schema} FROM PUBLIC" for schema in open_to_all)
    for thing in schemas:
        yield from _direct_statements(thing, roles)
        yield from _passed_on(thing, roles, superusers, set())


def _owners_first(thing: _Object) -> int:
    """Order tables before the sequences that follow them to their owner."""
    return _RELATIONS.index(thing.on) if thing.on in _RELATIONS else len(_RELATIONS)


def _objects(facts_by_key: FactsByKey, roles: dict[str, str]) -> Iterable[_Object]:
    found: dict[tuple[str, tuple[str, ...]], _Object] = {}

    def known(on: str, name: list[str]) -> _Object:
        key = (on, tuple(name))
        return found.setdefault(key, _Object(*key))

    for account, facts in facts_by_key.items():
        if account not in roles:
            continue
        for fact in facts.get("owns", ()):
            thing = known(fact["on"], fact["name"])
            thing.owner, thing.owned = account, True
            thing.reduced = fact.get("reduced", False)
        for fact in facts.get("grants", ()):
            if fact["by"] not in roles:
                continue
            thing = known(fact["on"], fact["name"])
            for word, grantable in (("privileges", False), ("grantable", True)):
                for privilege in fact.get(word, ()):
                    thing.grants.append(Grant(account, fact["by"], privilege, grantable))
        for fact in facts.get("revokes", ()):
            known(fact["on"], fact["name"]).revokes.append((account, fact["privileges"]))
    owners = {thing.name: thing.owner for thing in found.values() if thing.on in _RELATIONS}
    for thing in found.values():
        if thing.on == "column":
            thing.owner = owners.get(thing.name[:2], BOOTSTRAP)
    return found.values()


def _owner_statements(thing: _Object, roles: dict[str, str], superusers: set[str]) -> Iterator[str]:
    if not thing.owned or thing.on in _FOLLOW_ANOTHER_OBJECT:
        return
    kind = _ALTER.get(thing.on, thing.on.upper())
    owner = roles[thing.owner]
    # Only a superuser can be given a foreign data wrapper, though its owner may be none by now.
    lend = thing.on == "foreign data wrapper" and thing.owner not in superusers
    if lend:
        yield f"ALTER ROLE {owner} SUPERUSER"
    yield f"ALTER {kind} {_qualified(thing.on, thing.name)} OWNER TO {owner}"
    if lend:
        yield f"ALTER ROLE {owner} NOSUPERUSER"


def _direct_statements(thing: _Object, roles: dict[str, str]) -> Iterator[str]:
    """Yield what was taken away, and what the owner granted."""
    for account, privileges in thing.revokes:
        yield f"REVOKE {', '.join(privileges)} ON {thing.target} FROM {roles[account]}"
    direct = [grant for grant in thing.grants if grant.by == thing.owner]
    if not thing.built_in:
        if thing.reduced:
            yield f"REVOKE ALL ON {thing.target} FROM {roles[thing.owner]}"
        everybodys = {grant.privilege for grant in direct if grant.grantee == PUBLIC}
        by_default = _BY_DEFAULT.get(thing.on, set())
        if (thing.on, thing.name) in _TOUCHED_BY_INITDB or not by_default <= everybodys:
            yield f"REVOKE ALL ON {thing.target} FROM PUBLIC"
    yield from _grants(thing, direct, roles)


def _passed_on(
    thing: _Object,
    roles: dict[str, str],
    superusers: set[str],
    on_the_table: set[tuple[str, str]],
) -> Iterator[str]:
    """Yield what others than the owner granted, each after the grant that allowed it."""
    waiting = [grant for grant in thing.grants if grant.by != thing.owner]
    may_grant = {
        (grant.grantee, grant.privilege)
        for grant in thing.grants
        if grant.grantable and grant.by == thing.owner
    }
    if thing.on == "column":
        may_grant |= on_the_table
    while waiting:
        ready = [grant for grant in waiting if (grant.by, grant.privilege) in may_grant]
        if not ready:  # the server may keep a grant whose grantor lost the right to it
            ready = waiting
        for by in dict.fromkeys(grant.by for grant in ready):
            own = [grant for grant in ready if grant.by == by]
            yield from _as(by, list(_grants(thing, own, roles)), roles, superusers)
        may_grant |= {(grant.grantee, grant.privilege) for grant in ready if grant.grantable}
        done = set(ready)
        waiting = [grant for grant in waiting if grant not in done]


def _as(
    role: str, statements: list[str], roles: dict[str, str], superusers: set[str]
) -> Iterator[str]:
    """Yield the statements to be run as a role; a superuser's grants would count as the owner's."""
    lower = role in superusers and role != BOOTSTRAP
    if lower:
        yield f"ALTER ROLE {roles[role]} NOSUPERUSER"
    yield f"SET ROLE {roles[role]}"
    yield from statements
    yield "RESET ROLE"
    if lower:
        yield f"ALTER ROLE {roles[role]} SUPERUSER"


def _grants(thing: _Object, grants: list[Grant], roles: dict[str, str]) -> Iterator[str]:
    """Yield the grants, one statement for each grantee, with and without grant option."""
    together: dict[tuple[str, bool], list[str]] = {}
    for grant in grants:
        together.setdefault((grant.grantee, grant.grantable), []).append(grant.privilege)
    column = f" ({identifier(thing.name[2])})" if thing.on == "column" else ""
    for (grantee, grantable), privileges in together.items():
        words = ", ".join(f"{privilege}{column}" for privilege in privileges)
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {words} ON {thing.target} TO {roles[grantee]}{option}"


def _qualified(on: str, name: tuple[str, ...]) -> str:
    if on == "large object":
        return name[0]
    if on == "parameter":
        return ".".join(identifier(part) for part in name[0].split("."))
    if on in {"function", "aggregate", "procedure"}:
        return f"{identifier(name[0])}.{name[1]}"  # the second is SQL already
    return ".".join(identifier(part) for part in name[:2])
