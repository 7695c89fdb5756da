"""Facts and changes of the ledger as sentences that a person reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from app.constants.accounts import ChangeKind

_TITLES = {
    ChangeKind.ACCOUNT_CREATED: "account created",
    ChangeKind.ACCOUNT_REMOVED: "account removed",
    ChangeKind.ACCOUNT_RENAMED: "account renamed",
    ChangeKind.ACCESS_CHANGED: "access changed",
    ChangeKind.DATABASE_DROPPED: "database dropped",
    ChangeKind.ENGINE_UPGRADED: "engine upgraded",
    ChangeKind.REMOVAL_HELD: "removal held until somebody confirms it",
    ChangeKind.RIGHTS_LOST: "our own account may see less than before",
    ChangeKind.RIGHTS_GAINED: "our own account may see more than before",
}


def title(kind: str) -> str:
    """Return the heading of a change."""
    return _TITLES[ChangeKind(kind)]


def change_lines(kind: str, diff: dict[str, Any]) -> list[str]:
    """Return what a diff says, one sentence each: gains first, then losses, then attributes."""
    if kind == ChangeKind.ACCOUNT_RENAMED:
        before, after = diff["attributes"]["name"]
        return [f"was called {before}, is called {after}"]
    lines = [f"+ {text}" for text in _fact_lines(diff.get("added", ()))]
    lines += [f"- {text}" for text in _fact_lines(diff.get("removed", ()))]
    attributes = diff.get("attributes", {})
    if kind == ChangeKind.ACCOUNT_CREATED:
        # nothing was there before: what it is says more than what it is not
        text = _attributes({name: after for name, (_, after) in attributes.items()})
        return [f"+ {text}", *lines] if text else lines
    lines += [
        f"~ {name}: {_value(before)} → {_value(after)}"
        for name, (before, after) in attributes.items()
    ]
    return lines


def holding_lines(facts: dict[str, Any], name_of: Callable[[str], str]) -> list[str]:
    """Return what an account holds in one scope, one sentence for each kind of thing and object."""
    text = _attributes(facts.get("attributes", {}))
    lines = [text] if text else []
    lines += [
        _membership({**entry, "role": name_of(entry["role"])})
        for entry in facts.get("memberships", ())
    ]
    for entry in facts.get("grants", ()):
        words = [*entry.get("privileges", ())]
        words += [f"{word} (may grant it on)" for word in entry.get("grantable", ())]
        lines.append(f"{', '.join(words)} on {_object(entry)}")
    lines += [
        f"but not {', '.join(entry['privileges'])} on {_object(entry)}"
        for entry in facts.get("revokes", ())
    ]
    lines += _owned(facts.get("owns", ()))
    for entry in facts.get("default_grants", ()):
        words = [*entry.get("privileges", ()), *entry.get("grantable", ())]
        where = f" in schema {entry['schema']}" if entry.get("schema") else ""
        lines.append(
            f"every {entry['on']} it creates{where} grants"
            f" {', '.join(words) or 'nothing'} to {name_of(entry['to'])}"
        )
    return lines


def _attributes(attributes: dict[str, Any]) -> str:
    shown = (
        name if value is True else f"{name} {_value(value)}"
        for name, value in sorted(attributes.items())
        if name != "name" and value not in (False, None, "", 0, -1)
    )
    return ", ".join(shown)


def _fact_lines(facts: Iterable[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    privileges: dict[tuple[str, str], list[str]] = defaultdict(list)
    owned: list[dict[str, Any]] = []
    for fact in facts:
        where = f" in database {fact['database']}" if "database" in fact else ""
        where += f" for {fact['account']}" if "account" in fact else ""
        match fact["fact"]:
            case "grant":
                word = fact["privilege"] + (" (may grant it on)" if fact.get("grantable") else "")
                by = f" (granted by {fact['by']})" if fact.get("by") else ""
                if fact.get("by_default"):
                    by = " (by default privileges, it is new)"
                elif fact.get("dropped"):
                    by = " (it was dropped)"
                privileges[(f"{_object(fact)}{where}", by)].append(word)
            case "revoke":
                lines.append(f"exception: not {fact['privilege']} on {_object(fact)}{where}")
            case "membership":
                lines.append(_membership(fact) + where)
            case "ownership":
                owned.append(fact)
            case "default_grant":
                schema = f" in schema {fact['schema']}" if fact.get("schema") else ""
                lines.append(
                    f"every {fact['on']} it creates{schema} grants {fact['privilege']}"
                    f" to {fact['to']}{where}"
                )
            case "right":
                lines.append(f"right of our own account: {fact['right']}")
            case "account":
                lines.append(f"account {fact['name']}")
            case "database":
                lines.append(f"database {fact['name']} ({fact['holders']} accounts held access)")
    lines += [f"{', '.join(words)} on {where}{by}" for (where, by), words in privileges.items()]
    return lines + _owned(owned)


def _owned(entries: Iterable[dict[str, Any]]) -> list[str]:
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        suffix = ", newly created" if entry.get("created") else ""
        suffix = ", dropped" if entry.get("dropped") else suffix
        by_kind[entry["on"], suffix].append(".".join(entry["name"]))
    lines = []
    for (kind, suffix), names in by_kind.items():
        if len(names) == 1:
            lines.append(f"owns {kind} {names[0]}{suffix}")
        else:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            listed = f"{', '.join(names[:3])}{more}"
            lines.append(f"owns {len(names)} of kind {kind}{suffix}: {listed}")
    return lines


def _membership(entry: dict[str, Any]) -> str:
    options = []
    if entry.get("admin"):
        options.append("may grant it on")
    if entry.get("inherit") is False:
        options.append("not inherited")
    if entry.get("set") is False:
        options.append("no SET ROLE")
    if entry.get("default"):
        options.append("active at login")
    return f"member of {entry['role']}" + (f" ({', '.join(options)})" if options else "")


def _object(entry: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in entry["name"])
    return f"{entry['on']} {name}" if name else "everything (*.*)"


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
