"""What pg_dump says of roles, owners and grants is the oracle: nothing of it may be absent."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, Phase, given, settings

from app.repositories.remote.facts import AccountFact, Facts, FactsByKey
from tests.fixtures.postgresql import PostgresqlServer
from tests.repositories.remote.postgresql.world import (
    DATABASE,
    build_objects,
    histories,
    live,
    read,
)

NAME = r'"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_$]*'
ON = (
    "DATABASE|TABLESPACE|PARAMETER|SCHEMA|TABLE|SEQUENCE|FUNCTION|PROCEDURE|TYPE|LANGUAGE|"
    "FOREIGN DATA WRAPPER|FOREIGN SERVER|LARGE OBJECT"
)
GRANT = re.compile(
    rf"^(?P<verb>GRANT|REVOKE)(?: GRANT OPTION FOR)? (?P<words>[A-Z ,]+?)"
    rf"(?:\((?P<column>{NAME})\))?"
    rf"(?:,(?P<more>.*?))? ON (?P<on>{ON}) (?P<name>.+) (?:TO|FROM) (?P<who>{NAME})"
    r"(?P<option> WITH GRANT OPTION)?;$"
)
MEMBER = re.compile(
    rf"^GRANT (?P<role>{NAME}) TO (?P<member>{NAME})(?P<options>.*?) GRANTED BY (?P<by>{NAME});$"
)
ATTRIBUTES = re.compile(rf"^ALTER ROLE (?P<role>{NAME}) WITH .*;$")
OWNER = re.compile(
    rf"^ALTER (?P<on>{ON}|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|DOMAIN|AGGREGATE|SERVER)"
    rf" (?P<name>.+) OWNER TO (?P<who>{NAME});$"
)
SHARED = {"DATABASE", "TABLESPACE", "PARAMETER"}
KINDS = {
    "TABLE": {"table", "view", "materialized view", "foreign table", "column"},
    "FUNCTION": {"function", "aggregate"},
    "LANGUAGE": {"language", "untrusted language"},
    "TYPE": {"type", "domain", "row type", "multirange type"},
}


def plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def parts(name: str) -> list[str]:
    """Return the parts of a qualified name; a routine's signature stays one part."""
    first = re.match(NAME, name)
    assert first, name
    if first.end() == len(name):
        return [plain(name)]
    rest = name[first.end() + 1 :]
    if "(" in re.sub(NAME, "", rest):
        return [plain(first[0]), rest]
    return [plain(first[0]), plain(rest)]


def same_name(on: str, fact: list[str], said: list[str]) -> bool:
    if on in {"FUNCTION", "PROCEDURE", "AGGREGATE"}:
        return len(fact) == len(said) and fact[0] == said[0] and same_routine(fact[1], said[1])
    return fact[: len(said)] == said or (len(said) == 1 and ".".join(fact) == said[0])


def split_signature(signature: str) -> tuple[str, str]:
    name = re.match(NAME, signature)
    assert name, signature
    return name[0], signature[name.end() + 1 :]


def same_routine(fact: str, said: str) -> bool:
    """Compare signatures; the dump's also have argument names, modes and what comes OUT."""
    name, listed = split_signature(said)
    arguments = [word for word in listed[:-1].split(", ") if word and not word.startswith("OUT ")]
    own_name, own = split_signature(fact)
    types = [word for word in own[:-1].split(", ") if word]
    return (name, len(arguments)) == (own_name, len(types)) and all(
        argument.endswith(kind) for argument, kind in zip(arguments, types, strict=True)
    )


def holds(facts: Facts, on: str, name: list[str], column: str | None, words: set[str]) -> bool:
    """Tell whether an account holds these privileges on an object, by grant or as its owner."""
    kinds = KINDS.get(on, {on.lower()})
    held: set[str] = set()
    for grant in facts.get("grants", ()):
        where = grant["name"]
        if (grant["on"] == "column") != (column is not None) or grant["on"] not in kinds:
            continue
        if same_name(on, where, name) and column in {None, where[-1]}:
            held |= {*grant.get("privileges", ()), *grant.get("grantable", ())}
    owned = any(
        fact["on"] in kinds and same_name(on, fact["name"], name) and "reduced" not in fact
        for fact in facts.get("owns", ())
    )
    return owned or ("ALL" in words and bool(held)) or words <= held


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases={Phase.generate},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories)
def test_nothing_that_a_dump_says_of_access_is_absent_from_the_facts(
    postgresql: PostgresqlServer, history: list[tuple[str, str]]
) -> None:
    postgresql.wipe()
    build_objects(postgresql)
    live(postgresql, history)
    accounts, server, databases = read(postgresql)
    shared = by_account_name(accounts, server)
    inside = by_account_name(accounts, databases[DATABASE])
    escaped = DATABASE.replace("\\", "\\\\")
    dump = postgresql.program("pg_dumpall", "--globals-only")
    dump += postgresql.program(
        "pg_dump", "--schema-only", "--create", f"--dbname=dbname='{escaped}'"
    )
    lines = dump.splitlines()
    assert sum(confirm(shared, inside, line) for line in lines) > 20


def by_account_name(accounts: list[AccountFact], facts: FactsByKey) -> FactsByKey:
    names = {account.key: account.name for account in accounts}
    for one in facts.values():
        for fact in one.get("memberships", ()):
            fact["role"], fact["by"] = names[fact["role"]], names[fact["by"]]
    return {names[key]: one for key, one in facts.items()}


def confirm(shared: FactsByKey, inside: FactsByKey, line: str) -> bool:
    """Check one line of a dump against the facts; return whether it said anything of access."""
    if said := GRANT.match(line):
        facts = shared if said["on"] in SHARED else inside
        account = facts.get("PUBLIC" if said["who"] == "PUBLIC" else plain(said["who"]), {})
        name = [plain(said["name"])] if said["on"] == "PARAMETER" else parts(said["name"])
        column = plain(said["column"]) if said["column"] else None
        words = {word.strip() for word in said["words"].split(",")}
        words |= {more.split("(")[0].strip() for more in (said["more"] or "").split("),") if more}
        words -= {""}
        held = holds(account, said["on"], name, column, words)
        assert held is (said["verb"] == "GRANT") or revoked(said, account, name), line
    elif said := MEMBER.match(line):
        options = said["options"]
        found = [
            fact
            for fact in shared[plain(said["member"])]["memberships"]
            if fact["role"] == plain(said["role"]) and fact["by"] == plain(said["by"])
        ]
        assert len(found) == 1, line
        assert found[0]["admin"] is ("ADMIN OPTION" in options), line
        assert found[0].get("inherit", True) is ("INHERIT FALSE" not in options), line
        assert found[0].get("set", True) is ("SET FALSE" not in options), line
    elif said := ATTRIBUTES.match(line):
        known = shared[plain(said["role"])]["attributes"]
        for no, word in re.findall(r" (NO)?(SUPERUSER|CREATEDB|CREATEROLE|LOGIN|INHERIT)\b", line):
            assert known[word.lower()] is (no == ""), line
    elif said := OWNER.match(line):
        facts = shared if said["on"] in SHARED else inside
        on = {"SERVER": "FOREIGN SERVER"}.get(said["on"], said["on"])
        kinds = KINDS.get(on, {on.lower()})
        if on == "TABLE":
            kinds = kinds | {"sequence"}  # said so until version 15
        name = parts(said["name"])
        owns = facts.get(plain(said["who"]), {}).get("owns", ())
        found = [fact for fact in owns if fact["on"] in kinds]
        assert any(same_name(on, fact["name"], name) for fact in found), line
    return said is not None


def revoked(said: re.Match[str], account: Facts, name: list[str]) -> bool:
    """Tell whether the facts know a REVOKE: pg_dump writes one before the grants that are left."""
    kinds = KINDS.get(said["on"], {said["on"].lower()})
    known = [*account.get("revokes", ()), *account.get("owns", ()), *account.get("grants", ())]
    return said["verb"] == "REVOKE" and any(
        fact["on"] in kinds and same_name(said["on"], fact["name"], name) for fact in known
    )
