from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.repositories.remote.mysql.grants import as_meant
from app.repositories.remote.mysql.names import account_key, split_key
from tests.fixtures.mysql import TestServer


@given(user=st.text(max_size=12), host=st.text(max_size=12))
def test_a_key_is_read_back_as_it_was_made(user: str, host: str) -> None:
    assert split_key(account_key(user, host)) == (user, host)


@given(text=st.text(max_size=12))
def test_utf8_stored_as_latin1_is_read_as_meant(text: str) -> None:
    cp1252 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)}
    assert as_meant("".join(cp1252[byte] for byte in text.encode())) == text


@given(text=st.text(alphabet="éüßñ鲸 abc'", max_size=12))
def test_a_name_that_was_stored_rightly_is_left_alone(text: str) -> None:
    assert as_meant(text) == text


def test_a_routine_grant_to_a_name_outside_ascii_is_found(any_mysqld: TestServer) -> None:
    any_mysqld.run(
        "CREATE DATABASE 鲸",
        "CREATE FUNCTION 鲸.é() RETURNS int DETERMINISTIC RETURN 1",
        "CREATE USER 'zoë'@'%'",
        "GRANT EXECUTE ON FUNCTION 鲸.é TO 'zoë'@'%'",
    )
    grants = any_mysqld.facts()["'zoë'@'%'"]["grants"]
    assert grants == [{"on": "function", "name": ["鲸", "é"], "privileges": ["EXECUTE"]}]


def test_the_longest_multibyte_name_works(any_mysqld: TestServer) -> None:
    name = "鲸" * 32
    any_mysqld.run(f"CREATE USER '{name}'@'%'", f"GRANT SELECT ON *.* TO '{name}'@'%'")
    assert f"'{name}'@'%'" in any_mysqld.facts()


def test_an_emoji_is_kept_where_the_server_takes_it(any_mysqld: TestServer) -> None:
    """Account names are three-byte UTF-8 there: what the server makes of an emoji, we say."""
    any_mysqld.run("SET sql_mode = ''", "CREATE USER 'whale🐋'@'%'")
    ((stored,),) = any_mysqld.run("SELECT User FROM mysql.user WHERE User LIKE 'whale%'")
    assert f"'{stored}'@'%'" in any_mysqld.facts()
