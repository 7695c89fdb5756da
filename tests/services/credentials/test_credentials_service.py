from __future__ import annotations

import pytest

from app.models import Credential, db
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.utils.refusal import NotFound, Refused
from app.utils.secrets import decrypt

pytestmark = pytest.mark.usefixtures("app")

PASSWORD = "s3cret-päss 'word'"


def secret_of(name: str) -> bytes:
    return db.session.query(Credential).filter_by(name=name).one().secret


def test_a_password_is_stored_encrypted_and_can_be_had_back() -> None:
    credentials_service.add("prod", "whalefall", PASSWORD)
    stored = secret_of("prod")
    assert PASSWORD.encode() not in stored
    assert decrypt(stored) == PASSWORD


def test_what_is_listed_holds_no_password() -> None:
    credentials_service.add("prod", "whalefall", PASSWORD)
    assert PASSWORD not in repr(credentials_service.list_credentials())
    assert [
        (row.name, row.username, row.instances) for row in credentials_service.list_credentials()
    ] == [("prod", "whalefall", 0)]


def test_rotation_replaces_the_password_and_says_how_many_instances_use_it() -> None:
    before = credentials_service.add("prod", "whalefall", PASSWORD)
    instances_service.add(name="one", engine="postgresql", host="h", credential="prod")
    after = credentials_service.rotate("prod", "another")
    assert decrypt(secret_of("prod")) == "another"
    assert after.instances == 1
    assert after.rotated_at > before.rotated_at
    assert after.created_at == before.created_at


@pytest.mark.parametrize("password", ["", "with\x00nul"])
def test_a_password_that_no_server_takes_is_refused_without_being_repeated(
    password: str,
) -> None:
    with pytest.raises(Refused) as refused:
        credentials_service.add("prod", "whalefall", password)
    assert not password or password not in f"{refused.value.message}{refused.value.remedy}"


def test_a_second_credential_of_the_same_name_is_refused() -> None:
    credentials_service.add("prod", "whalefall", PASSWORD)
    with pytest.raises(Refused, match="exists already"):
        credentials_service.add("prod", "other", "x")
    assert len(credentials_service.list_credentials()) == 1


def test_a_name_with_spaces_is_refused_with_what_to_write() -> None:
    with pytest.raises(Refused, match="no spaces"):
        credentials_service.add("my prod", "whalefall", PASSWORD)


def test_a_credential_in_use_is_not_removed_and_its_users_are_named() -> None:
    credentials_service.add("prod", "whalefall", PASSWORD)
    for number in range(7):
        instances_service.add(name=f"db{number}", engine="mysql", host="h", credential="prod")
    with pytest.raises(Refused, match="db0, db1, db2, db3, db4 and 2 more") as refused:
        credentials_service.remove("prod")
    assert "whalefall instance edit db0" in str(refused.value.remedy)
    assert len(credentials_service.list_credentials()) == 1


def test_a_credential_can_be_removed_once_its_instances_are() -> None:
    credentials_service.add("prod", "whalefall", PASSWORD)
    instances_service.add(name="one", engine="postgresql", host="h", credential="prod")
    instances_service.remove("one")
    credentials_service.remove("prod")
    assert credentials_service.list_credentials() == []


def test_an_unknown_credential_says_how_to_see_those_that_exist() -> None:
    for act in (
        lambda: credentials_service.rotate("no", "x"),
        lambda: credentials_service.remove("no"),
    ):
        with pytest.raises(NotFound, match="no credential named no") as refused:
            act()
        assert refused.value.remedy == "whalefall credential list shows them all."
