"""The quick look at a text never overlooks what the patterns would find."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.utils import redaction

FRAGMENTS = [
    "password", "PASSWD", "paſſwort", "passphrase", "pwd", "seCret", "toKen", "dsn", "conninfo",
    "authorization", "authorızatıon", "Cookie", "api_key", "private-key", "access key",
    "IDENTIFIED", "identıfıed by", "with x as", "Bearer", "basic", "basıc", "postgresql://u", "http://",
    "@h/db",
    "gAAAAABn0m1Xk8oQ2v9pVbQ1T6q3r", "SCRAM-SHA-256$4096:x", "md5d41d8cd98f00b204e9800998ecf8427e",
    "*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9", "$A$005$abc", "-----BEGIN PRIVATE KEY-----",
    "'", '"', "=", ":", " ", "x1", "abcdefgh12345", "://", "\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=10).map("".join))
@settings(max_examples=1500, deadline=None)
def test_a_text_that_looks_harmless_is_what_the_patterns_leave_of_it(text: str) -> None:
    assert redaction.redact_text(text) == redaction._without_secrets(text)


def test_the_quick_look_lets_most_messages_pass() -> None:
    harmless = ["Scope was read", "账户同步任务完成", "connection refused", "2026-01-01T00:00:00Z"]
    assert not any(redaction._suspicious(text) for text in harmless)
