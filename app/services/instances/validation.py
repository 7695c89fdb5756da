"""What an instance may look like, and what to write instead when it does not."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from app.constants.engines import DEFAULT_PORT, Engine, TlsMode
from app.utils.refusal import Refused

_NAME = re.compile(r"[^\W_][\w.:-]{0,62}")
_TAG = re.compile(r"[^\W_][\w.:=/-]{0,62}")
_HOST_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?|[\w-]{1,63}")
_TRUE = frozenset({"", "true", "yes", "on", "1", "enabled"})
_FALSE = frozenset({"false", "no", "off", "0", "disabled"})


@dataclass(frozen=True)
class InstanceSpec:
    """An instance as somebody wants it: checked, but for whether the credential exists."""

    name: str
    engine: Engine
    host: str
    port: int
    database: str | None
    tls_mode: TlsMode
    tls_ca: str | None
    tags: tuple[str, ...]
    credential: str
    enabled: bool


class Invalid(Refused):
    """Some values are not usable; ``problems`` names each with what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def check_instance(fields: Mapping[str, Any]) -> InstanceSpec:
    """Return the checked instance; absent fields take their defaults.

    Raises:
        Invalid: It names everything that is wrong, not only the first.

    """
    problems: list[str] = []

    def checked(key: str, check: Callable[[Any], Any]) -> Any:
        try:
            return check(fields.get(key))
        except ValueError as error:
            problems.append(str(error))
            return None

    engine = checked("engine", check_engine)
    values = {
        "name": checked("name", check_name),
        "engine": engine,
        "host": checked("host", check_host),
        "port": checked("port", lambda port: check_port(port, engine)),
        "database": checked("database", check_database),
        "tls_mode": checked("tls_mode", check_tls_mode),
        "tls_ca": checked("tls_ca", check_ca),
        "tags": checked("tags", check_tags),
        "credential": checked("credential", check_credential),
        "enabled": checked("enabled", check_enabled),
    }
    if values["tls_ca"] and values["tls_mode"] in {TlsMode.REQUIRE, TlsMode.DISABLE}:
        problems.append(
            f"TLS mode {values['tls_mode'].value!r} checks no certificate, so that the CA would be "
            "unused: write verify-full or verify-ca, or leave the CA out"
        )
    if problems:
        raise Invalid(problems)
    return InstanceSpec(**values)


def check_name(name: str | None, what: str = "name") -> str:
    """Return the name, or raise ValueError with what to write instead."""
    name = (name or "").strip()
    if not name:
        raise ValueError(f"{what} is missing: give one, for example orders-prod-1")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} {name!r} does not fit: begin with a letter or a digit; then letters, digits, "
            "'.', '_', '-' and ':', 63 at most, no spaces"
        )
    return name


def check_credential(name: str | None) -> str:
    """Return the name of a credential, or raise ValueError with what to write instead."""
    if not (name or "").strip():
        raise ValueError(
            "credential is missing: name one of `whalefall credential list`, or make one with "
            "`whalefall credential add NAME --username USER`"
        )
    return check_name(name, "credential")


def check_engine(engine: str | None) -> Engine:
    """Return the engine, or raise ValueError with what to write instead."""
    word = (engine or "").strip().lower()
    word = {"postgres": "postgresql", "pg": "postgresql"}.get(word, word)
    known = ", ".join(Engine)
    if not word:
        raise ValueError(f"engine is missing: write one of {known}")
    try:
        return Engine(word)
    except ValueError:
        raise ValueError(f"engine {engine!r} is not known: write one of {known}") from None


def check_host(host: str | None) -> str:
    """Return the host, or raise ValueError with what to write instead."""
    host = (host or "").strip()
    if not host:
        raise ValueError("host is missing: give a name, an address, or the path of a socket")
    if "://" in host:
        # The value may hold a password: it is not repeated.
        raise ValueError("host holds a URL: give the host name alone; port and database go apart")
    if "@" in host:
        raise ValueError(
            "host holds a '@': give the host name alone; user and password go into a credential"
        )
    if host.startswith("/"):
        if not host.isprintable():
            raise ValueError("host: the socket's path holds a character that cannot be printed")
        return host
    if host.startswith("["):
        raise ValueError("host: write an IPv6 address without brackets, for example fd00::17")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass  # not an address: then it has to be a name
    else:
        return host
    if ":" in host:
        raise ValueError(f"host {host!r} holds a port: give the port apart")
    if len(host) > 253 or not all(map(_HOST_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise ValueError(
            f"host {host!r} is no host name: letters, digits, '-' and '.', without spaces; "
            "a socket's path begins with '/'"
        )
    return host


def check_port(port: int | str | None, engine: Engine | None) -> int:
    """Return the port (the engine's usual one if there is none), or raise ValueError."""
    if port is None or (isinstance(port, str) and not port.strip()):
        return DEFAULT_PORT[engine] if engine else 0
    try:
        number = int(port)
    except ValueError:
        raise ValueError(f"port {port!r} is no number: write 1 to 65535, or leave it out") from None
    if not 1 <= number <= 65535:
        raise ValueError(f"port {number} does not exist: write 1 to 65535, or leave it out")
    return number


def check_database(database: str | None) -> str | None:
    """Return where to log in first, None for the engine's usual one, or raise ValueError."""
    if not database:
        return None
    if "\x00" in database or len(database.encode()) > 255:
        raise ValueError("database: no database has such a name; 255 bytes at most, no NUL")
    return database


def check_tls_mode(mode: str | None) -> TlsMode:
    """Return the TLS mode, verify-full if there is none, or raise ValueError."""
    word = (mode or "").strip().lower()
    if not word:
        return TlsMode.VERIFY_FULL
    try:
        return TlsMode(word)
    except ValueError:
        raise ValueError(
            f"TLS mode {mode!r} is not known: write one of {', '.join(TlsMode)}"
        ) from None


def check_ca(pem: str | None) -> str | None:
    """Return the PEM of one or more authorities, None if there is none, or raise ValueError."""
    if not pem or not pem.strip():
        return None
    if "PRIVATE KEY" in pem:
        raise ValueError(
            "the CA file holds a private key: give the authority's certificate only, "
            "and keep that key where it belongs"
        )
    try:
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError(
            "the CA file is no PEM certificate: it has to hold -----BEGIN CERTIFICATE-----; "
            "turn DER into PEM with `openssl x509 -inform der -in ca.der -out ca.pem`"
        ) from None
    return pem


def check_tags(tags: Iterable[str] | str | None) -> tuple[str, ...]:
    """Return the tags, sorted and each once, or raise ValueError.

    A string holds several, separated by spaces, commas or semicolons.
    """
    words = re.split(r"[\s,;]+", tags) if isinstance(tags, str) else list(tags or ())
    for word in words:
        if word and not _TAG.fullmatch(word):
            raise ValueError(
                f"tag {word!r} does not fit: begin with a letter or a digit; then letters, digits, "
                "'.', '_', '-', ':', '=' and '/', 63 at most"
            )
    return tuple(sorted({word for word in words if word}))


def check_enabled(value: bool | str | None) -> bool:
    """Return whether it takes part in runs (it does if nothing is said), or raise ValueError."""
    if value is None or isinstance(value, bool):
        return value is not False
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"enabled {value!r} is neither yes nor no: write true or false")
