"""A diff says all that changed, nothing else, and whether somebody gained by it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.repositories.remote.facts import facts_json
from app.services.accounts_sync.differences import (
    difference,
    raises_privilege,
    without_new_words,
)

NAMES = {"1": "alice", "2": "bob"}


def name_of(key: str) -> str:
    return NAMES.get(key, key)


_words = st.lists(st.sampled_from(["SELECT", "INSERT", "DELETE"]), unique=True).map(sorted)


@st.composite
def _facts(draw: st.DrawFn) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    grants = []
    for table, grantor in draw(
        st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=4)
    ):
        privileges = draw(_words)
        grantable = [w for w in draw(_words) if w not in privileges]
        entry: dict[str, Any] = {"on": "table", "name": ["public", table], "by": grantor}
        if privileges:
            entry["privileges"] = privileges
        if grantable:
            entry["grantable"] = grantable
        if privileges or grantable:
            grants.append(entry)
    if grants:
        facts["grants"] = sorted(grants, key=lambda g: (g["name"], g["by"]))
    attributes = draw(st.dictionaries(st.sampled_from(["login", "superuser"]), st.booleans()))
    if attributes:
        facts["attributes"] = attributes
    return facts


def _flat(facts: dict[str, Any]) -> set[tuple[Any, ...]]:
    """What the facts say, worked out independently of the code under test."""
    return {
        (tuple(g["name"]), name_of(g["by"]), word, grantable)
        for g in facts.get("grants", ())
        for grantable, words in ((False, g.get("privileges", ())), (True, g.get("grantable", ())))
        for word in words
    }


def _told(facts: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(tuple(f["name"]), f["by"], f["privilege"], f.get("grantable", False)) for f in facts}


@given(before=_facts(), after=_facts())
def test_before_plus_diff_is_after(before: dict[str, Any], after: dict[str, Any]) -> None:
    diff = difference(before, after, name_of)
    assert (_flat(before) - _told(diff.get("removed", []))) | _told(diff.get("added", [])) == _flat(
        after
    )
    assert _told(diff.get("added", [])) & _flat(before) == set()
    attributes = dict(before.get("attributes", {}))
    for name, (old, new) in diff.get("attributes", {}).items():
        assert attributes.pop(name, None) == old
        if new is not None:
            attributes[name] = new
    assert attributes == after.get("attributes", {})


@given(before=_facts(), after=_facts())
def test_a_diff_is_empty_exactly_when_the_facts_are_equal(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert (difference(before, after, name_of) == {}) == (facts_json(before) == facts_json(after))


@given(facts=_facts())
def test_taking_everything_away_raises_nothing(facts: dict[str, Any]) -> None:
    assert not raises_privilege(difference(facts, None, name_of))


def _grant(word: str, *, by: str = "1", grantable: bool = False) -> dict[str, Any]:
    return {
        "grants": [
            {
                "on": "table",
                "name": ["public", "a"],
                "by": by,
                "grantable" if grantable else "privileges": [word],
            }
        ]
    }


@pytest.mark.parametrize(
    ("before", "after", "raised"),
    [
        ({}, _grant("SELECT"), True),
        (_grant("SELECT"), _grant("SELECT", by="2"), False),
        (_grant("SELECT"), _grant("SELECT", grantable=True), True),
        (_grant("SELECT", grantable=True), _grant("SELECT"), False),
        (_grant("SELECT"), _grant("DELETE"), True),
        ({"attributes": {"login": False}}, {"attributes": {"login": True}}, True),
        ({"attributes": {"superuser": True}}, {"attributes": {"superuser": False}}, False),
        ({"attributes": {"account_locked": True}}, {"attributes": {"account_locked": False}}, True),
        ({"memberships": [{"role": "2", "admin": False}]}, {}, False),
        ({}, {"memberships": [{"role": "2", "admin": False}]}, True),
        (
            {"memberships": [{"role": "2", "admin": False}]},
            {"memberships": [{"role": "2", "admin": True}]},
            True,
        ),
        ({}, {"revokes": [{"on": "database", "name": ["d"], "privileges": ["SELECT"]}]}, False),
        ({"revokes": [{"on": "database", "name": ["d"], "privileges": ["SELECT"]}]}, {}, True),
        ({}, {"owns": [{"on": "table", "name": ["public", "a"]}]}, True),
    ],
)
def test_gains_are_told_from_losses(
    before: dict[str, Any], after: dict[str, Any], raised: bool
) -> None:
    assert raises_privilege(difference(before, after, name_of)) is raised


def test_a_diff_carries_the_names_of_its_moment() -> None:
    facts = {"memberships": [{"role": "2", "by": "1", "admin": False}]}
    assert difference(None, facts, name_of)["added"] == [
        {"fact": "membership", "role": "bob", "by": "alice", "admin": False}
    ]


def test_privileges_that_an_upgrade_invented_are_split_off() -> None:
    diff = difference(_grant("SELECT"), _grant("MAINTAIN"), name_of)
    rest, words = without_new_words(diff, {"SELECT"})
    assert words == {"MAINTAIN"}
    assert "added" not in rest
    assert [fact["privilege"] for fact in rest["removed"]] == ["SELECT"]
