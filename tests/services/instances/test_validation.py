from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from app.constants.engines import Engine, TlsMode
from app.services.instances.validation import Invalid, check_host, check_instance, check_tags

GOOD = {"name": "orders", "engine": "postgresql", "host": "db.example.com", "credential": "prod"}


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def ca(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def problems(**fields: object) -> str:
    with pytest.raises(Invalid) as invalid:
        check_instance(GOOD | fields)
    return "\n".join(invalid.value.problems)


def test_the_four_needed_fields_are_enough_and_the_rest_is_safe() -> None:
    spec = check_instance(GOOD)
    assert (spec.engine, spec.port, spec.tls_mode) == (Engine.POSTGRESQL, 5432, TlsMode.VERIFY_FULL)
    assert (spec.database, spec.tls_ca, spec.tags, spec.enabled) == (None, None, (), True)


@pytest.mark.parametrize(
    ("engine", "port"), [("postgres", 5432), ("PG", 5432), ("MySQL", 3306), ("mariadb", 3306)]
)
def test_the_usual_port_of_the_engine_is_the_default(engine: str, port: int) -> None:
    assert check_instance(GOOD | {"engine": engine}).port == port


def test_everything_that_is_wrong_is_named_at_once() -> None:
    told = problems(name="a b", engine="db2", host="", port="99999", tls_mode="on", credential="")
    for word in (
        "name 'a b'",
        "engine 'db2'",
        "host is missing",
        "port 99999",
        "TLS mode 'on'",
        "credential",
    ):
        assert word in told


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("postgresql://u:hunter2@h/db", "host name alone"),
        ("user:hunter2@db.example.com", "credential"),
        ("db.example.com:5433", "port apart"),
        ("[::1]", "without brackets"),
        ("a b", "no host name"),
        ("a,b", "no host name"),
        ("h..x", "no host name"),
        ("x" * 64, "no host name"),
        ("host/path", "no host name"),
        ("/run/\x1b[31m", "cannot be printed"),
    ],
)
def test_a_host_that_is_none_says_what_to_write_and_repeats_no_password(
    host: str, advice: str
) -> None:
    told = problems(host=host)
    assert advice in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "10.0.0.1",
        "fd00::17",
        "fe80::1%eth0",
        "db_1",
        "db-1.example.com.",
        "/var/run/mysqld/x.sock",
        "数据库.example",
    ],
)
def test_hosts_that_exist_are_taken_as_they_are(host: str) -> None:
    assert check_host(f" {host} ") == host


@given(st.text(max_size=80))
def test_a_host_is_refused_with_words_or_taken_never_anything_else(host: str) -> None:
    with contextlib.suppress(ValueError):
        taken = check_host(host)
        assert "@" not in taken
        assert "://" not in taken
        assert not any(c in taken for c in "\x00\n\r")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "5432.0", "5432;", 0, 70000])
def test_a_port_that_does_not_exist_is_refused(port: object) -> None:
    assert "write 1 to 65535" in problems(port=port)


def test_a_ca_has_to_be_a_certificate_in_pem(ca: str, key: ec.EllipticCurvePrivateKey) -> None:
    assert check_instance(GOOD | {"tls_ca": ca}).tls_ca == ca
    assert check_instance(GOOD | {"tls_ca": ca + ca}).tls_ca == ca + ca
    assert "openssl x509" in problems(tls_ca="not a certificate")
    assert "openssl x509" in problems(tls_ca=ca.replace("M", "!", 3))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    told = problems(tls_ca=ca + private)
    assert "holds a private key" in told
    assert private not in told


@pytest.mark.parametrize("mode", ["require", "disable"])
def test_a_ca_beside_a_mode_that_checks_nothing_is_refused(ca: str, mode: str) -> None:
    assert "checks no certificate" in problems(tls_ca=ca, tls_mode=mode)


def test_tags_are_taken_in_any_usual_separation_once_each_and_sorted() -> None:
    assert check_tags("prod; eu,  prod\ttier=1") == ("eu", "prod", "tier=1")
    assert check_tags(["b", "a", "b"]) == ("a", "b")
    with pytest.raises(ValueError, match="tag '-x'"):
        check_tags("-x")


@pytest.mark.parametrize(
    ("said", "enabled"), [("", True), ("yes", True), ("0", False), ("Disabled", False)]
)
def test_enabled_is_read_as_people_write_it(said: str, enabled: bool) -> None:
    assert check_instance(GOOD | {"enabled": said}).enabled is enabled
    assert "true or false" in problems(enabled="maybe")
