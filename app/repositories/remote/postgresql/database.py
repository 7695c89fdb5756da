"""The scope of one database: what its objects grant, and whose they are."""

from __future__ import annotations

from dataclasses import replace

from app.constants.reading import FailureKind
from app.repositories.remote.facts import (
    DatabaseFact,
    Facts,
    FactsByKey,
    ReadError,
    Receipt,
    ScopeContent,
    Target,
    digest_of,
)
from app.repositories.remote.postgresql.acls import (
    BOOTSTRAP,
    Acls,
    Ledger,
    Reading,
    difference,
    entries,
    whole,
)
from app.repositories.remote.postgresql.copy_text import rows
from app.repositories.remote.postgresql.server import READER_VERSION
from app.repositories.remote.postgresql.session import connect

_OBJECTS = (
    "schemas",
    "relations",
    "routines",
    "types",
    "languages",
    "foreign_servers",
    "large_objects",
)
_IDENTITY = "this_database"
_PARTS = (
    *_OBJECTS,
    "columns",
    "default_grants",
    "database_acls",
    "built_in_defaults",
    _IDENTITY,
)

# What the .sql files print as an object's kind, our word for it, and its letter in acldefault().
_KINDS = {
    "schema": ("schema", "n"),
    "r": ("table", "r"),
    "p": ("table", "r"),
    "v": ("view", "r"),
    "m": ("materialized view", "r"),
    "S": ("sequence", "s"),
    "type": ("type", "T"),
    "domain": ("domain", "T"),
    "row type": ("row type", "T"),
    "multirange type": ("multirange type", "T"),
    "language": ("language", "l"),
    "untrusted language": ("untrusted language", ""),
    "foreign data wrapper": ("foreign data wrapper", "F"),
    "foreign server": ("foreign server", "S"),
    "large object": ("large object", "L"),
}
_RELATIONS = {**_KINDS, "f": ("foreign table", "r")}
_ROUTINES = {
    "f": ("function", "f"),
    "w": ("function", "f"),
    "a": ("aggregate", "f"),
    "p": ("procedure", "f"),
}
_DEFAULTS = {
    "r": ("table", "r"),
    "S": ("sequence", "s"),
    "f": ("routine", "f"),
    "T": ("type", "T"),
    "n": ("schema", "n"),
    "L": ("large object", "L"),
}


def read_database(
    target: Target,
    database: DatabaseFact,
    receipt: Receipt,
    version: str,  # noqa: ARG001 - other engines need it; here every session knows its own
) -> ScopeContent:
    """Read what accounts hold inside one database, in a session of its own.

    Temporary objects of other sessions and TOAST tables are left out; of built-in objects only what
    differs from how initdb left them is told. All or nothing: a part that cannot be read raises
    ReadError.
    """
    with connect(replace(target, database=database.name), receipt) as session:
        raw = session.copy_out(_PARTS)
        encoding, number = session.encoding, session.version_number
    if raw[_IDENTITY].decode().strip() != database.key:
        raise ReadError(
            FailureKind.NO_DATABASE,
            "it was dropped and another one of the same name created while the server was read",
            "Nothing: the next sync sees the new one.",
        )

    def facts() -> FactsByKey:
        return _facts(raw, encoding)

    return ScopeContent(
        digest=digest_of(READER_VERSION, str(number).encode(), *(raw[part] for part in _PARTS)),
        facts=facts,
        size=sum(map(len, raw.values())),
    )


def _facts(raw: dict[str, bytes], encoding: str) -> FactsByKey:
    ledger = Ledger()
    acls = Acls(
        rows(raw["database_acls"], encoding),
        rows(raw["built_in_defaults"], encoding),
    )
    for part in _OBJECTS:
        kinds = {"routines": _ROUTINES, "relations": _RELATIONS}.get(part, _KINDS)
        for kind, first, second, owner, acl, built_in, initial in rows(raw[part], encoding):
            on, letter = kinds[str(kind)]
            if on == "untrusted language":
                reading = Reading((), reduced=False, revokes=())  # only superusers may use it
            else:
                reading = acls.understand(letter, str(owner), acl, built_in == "t", initial)
            name = [str(first)] if second is None else [str(first), second]
            ledger.add_object(on, name, _owner(str(owner), built_in), reading)
    _add_columns(ledger, acls, raw["columns"], encoding)
    for creator, schema, objects, acl in rows(raw["default_grants"], encoding):
        for fact in _default_grants(acls, str(creator), schema, str(objects), str(acl)):
            ledger.add(str(creator), "default_grants", fact)
    return ledger.finish()


def _owner(owner: str, built_in: str | None) -> str | None:
    """Return whose an object is, or None for what is built in and where initdb left it."""
    return None if built_in == "t" and owner == BOOTSTRAP else owner


def _add_columns(ledger: Ledger, acls: Acls, raw: bytes, encoding: str) -> None:
    for schema, table, column, owner, built_in, acl, initial in rows(raw, encoding):
        if built_in == "t":
            reading = difference(entries(acl), acls.owned_by(str(owner), entries(initial)))
        else:
            reading = whole(entries(acl), (), str(owner))
        ledger.add_object("column", [str(schema), str(table), str(column)], None, reading)


def _default_grants(
    acls: Acls, creator: str, schema: str | None, letter: str, acl: str
) -> list[Facts]:
    """Return what later objects of one creator will grant.

    In any schema (None): where it differs from what every such object would grant anyway; a fact
    without privileges says that the grantee will hold nothing. In one schema: what is added there.
    """
    on, kind = _DEFAULTS.get(letter, (letter, letter))
    given = {} if schema else {entry.grantee: entry for entry in acls.default(kind, creator)}
    current = {entry.grantee: entry for entry in acls.entries(acl)}
    facts = []
    for grantee in sorted(current.keys() | given.keys()):
        entry = current.get(grantee)
        if entry == given.get(grantee):
            continue
        fact: Facts = {"schema": schema, "on": on, "to": grantee}
        if entry and entry.privileges:
            fact["privileges"] = list(entry.privileges)
        if entry and entry.grantable:
            fact["grantable"] = list(entry.grantable)
        facts.append(fact)
    return facts
