"""The engines that we read."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """Values of ``instances.engine``."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    MARIADB = "mariadb"


DEFAULT_PORT = {Engine.POSTGRESQL: 5432, Engine.MYSQL: 3306, Engine.MARIADB: 3306}


class TlsMode(StrEnum):
    """How far a server's certificate is checked, strictest first.

    A Unix socket (a host that starts with "/") carries no TLS and ignores it.
    """

    VERIFY_FULL = "verify-full"
    """Encrypted; the certificate is signed by a trusted authority and names this host."""
    VERIFY_CA = "verify-ca"
    """Encrypted; the certificate is signed by a trusted authority."""
    REQUIRE = "require"
    """Encrypted; nobody knows to whom."""
    DISABLE = "disable"
    """Clear text, the password's exchange included."""
