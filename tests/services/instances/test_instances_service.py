from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from app.config import Settings
from app.models import Instance, db
from app.repositories.remote.facts import ReadError
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.utils.refusal import NotFound, Refused

pytestmark = pytest.mark.usefixtures("app", "prod")


@pytest.fixture
def prod(app: object) -> None:
    assert app
    credentials_service.add("prod", "whalefall", "s3cret-pässword")


def add(name: str, **fields: object) -> int:
    plain = {"engine": "postgresql", "host": "db.example.com", "credential": "prod"}
    return instances_service.add(name=name, **{**plain, **fields}).id


def row(name: str) -> Instance:
    return db.session.scalars(select(Instance).where(Instance.name == name)).one()


def test_a_target_carries_the_decrypted_password_the_time_outs_and_shows_neither() -> None:
    add("orders", host="/run/postgresql", port=6432, database="app", tls_mode="require")
    target = instances_service.target_of(row("orders"))
    assert (target.host, target.port, target.database) == ("/run/postgresql", 6432, "app")
    assert (target.username, target.password) == ("whalefall", "s3cret-pässword")
    assert (target.tls_mode, target.connect_timeout_seconds) == ("require", 10)
    assert "s3cret" not in repr(target)


def test_a_lost_key_says_which_credential_to_store_again(settings: Settings) -> None:
    add("orders")
    file: Path = settings.encryption_key_file
    file.write_bytes(Fernet.generate_key() + b"\n")
    with pytest.raises(ReadError, match="credential prod cannot be decrypted") as error:
        instances_service.target_of(row("orders"))
    assert "whalefall credential rotate prod" in str(error.value.remedy)


def test_a_removed_instance_has_no_target_and_its_name_is_free_again() -> None:
    first = add("orders")
    removed = instances_service.remove("orders")
    assert (removed.credential, removed.accounts_kept) == ("prod", 0)
    with pytest.raises(ReadError, match="was removed"):
        instances_service.target_of(row("orders"))
    with pytest.raises(NotFound):
        instances_service.get("orders")
    assert add("orders") != first


def test_a_name_cannot_be_taken_twice_neither_by_adding_nor_by_renaming() -> None:
    add("a")
    add("b")
    with pytest.raises(Refused, match="named a exists already"):
        add("a")
    with pytest.raises(Refused, match="named a exists already"):
        instances_service.edit("b", name="a")
    assert [row.name for row in instances_service.list_instances()] == ["a", "b"]


def test_the_engine_may_be_corrected_until_the_first_read_and_never_after() -> None:
    add("shop", engine="mysql")
    assert instances_service.edit("shop", engine="mariadb").engine == "mariadb"
    row("shop").server_version = "11.4.2-MariaDB"
    db.session.commit()
    with pytest.raises(Refused, match="its ledger is of that engine"):
        instances_service.edit("shop", engine="mysql")
    assert instances_service.edit("shop", host="h2").engine == "mariadb"


def test_a_run_is_for_the_named_and_for_the_enabled_that_carry_every_tag() -> None:
    a = add("a")
    b = add("b", tags=["prod", "eu"])
    add("c", tags=["prod"])
    add("d", tags=["prod", "eu"], enabled=False)
    assert instances_service.ids_of(names=["a"], tags=["prod", "eu"]) == [a, b]
    with pytest.raises(NotFound, match="x, y"):
        instances_service.ids_of(names=["a", "x", "y"])
    with pytest.raises(Refused, match="d is disabled"):
        instances_service.ids_of(names=["d"])
    with pytest.raises(NotFound, match="no enabled instance"):
        instances_service.ids_of(tags=["us"])


def test_editing_tells_when_and_keeps_what_was_not_given() -> None:
    add("orders", tags=["x"], database="app")
    before = instances_service.get("orders")
    after = instances_service.edit("orders", port=6000)
    assert (after.port, after.tags, after.database) == (6000, ["x"], "app")
    assert after.updated_at > before.updated_at
    assert after.created_at == before.created_at
    assert instances_service.edit("orders", database=None).database is None
