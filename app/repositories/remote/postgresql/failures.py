"""What went wrong on a PostgreSQL server, in words for people, with what to do about it."""

from __future__ import annotations

import re

from app.constants.reading import FailureKind
from app.repositories.remote.facts import ReadError, Target
from app.repositories.remote.postgresql.quoting import identifier

_BY_SQLSTATE = {
    "08": FailureKind.LOST,
    "0A": FailureKind.UNSUPPORTED,
    "25P03": FailureKind.STATEMENT_TIMEOUT,
    "25P04": FailureKind.STATEMENT_TIMEOUT,
    "28": FailureKind.LOGIN,
    "3D000": FailureKind.NO_DATABASE,
    "40001": FailureKind.LOCKED,
    "42501": FailureKind.DENIED,
    "53300": FailureKind.TOO_MANY_CONNECTIONS,
    "55P03": FailureKind.LOCKED,
    "57014": FailureKind.STATEMENT_TIMEOUT,
    "57P01": FailureKind.LOST,
    "57P02": FailureKind.LOST,
    "57P03": FailureKind.STARTING_UP,
    "57P04": FailureKind.NO_DATABASE,
    "57P05": FailureKind.LOST,
}

# libpq hands over no SQLSTATE while it connects, only text, and the server says its part of it in
# the language of lc_messages: what no pattern knows is a refused login, in the server's own words.
_WHILE_CONNECTING = (
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", FailureKind.LOGIN),
    (r"password authentication failed|authentication failed for user", FailureKind.LOGIN),
    (r"role \".*\" (does not exist|is not permitted to log in)", FailureKind.LOGIN),
    (r"no password supplied|authentication method requirement", FailureKind.LOGIN),
    (r"permission denied for database", FailureKind.DENIED),
    (r"database \".*\" does not exist", FailureKind.NO_DATABASE),
    (r"is not currently accepting connections|invalid database", FailureKind.NO_DATABASE),
    (
        r"too many (clients|connections)|remaining connection slots are reserved",
        FailureKind.TOO_MANY_CONNECTIONS,
    ),
    (
        r"the database system is (starting up|shutting down|in recovery|not (yet )?accepting)",
        FailureKind.STARTING_UP,
    ),
    (r"server does not support SSL", FailureKind.TLS),
    (r"expected authentication request|invalid response to SSL", FailureKind.UNSUPPORTED),
    (r"Connection refused", FailureKind.REFUSED),
    (r"No such file or directory", FailureKind.REFUSED),
    (r"No route to host|Network is unreachable|Permission denied\s", FailureKind.UNREACHABLE),
    (r"timeout expired|timed out", FailureKind.CONNECT_TIMEOUT),
    (r"server closed the connection unexpectedly|Connection reset", FailureKind.LOST),
    (r"certificate|SSL|tlsv1|TLS", FailureKind.TLS),
)


def connect_error(target: Target, message: str) -> ReadError:
    """Return the error for what libpq said when a connection could not be made."""
    said = _tidy(message)
    for pattern, kind in _WHILE_CONNECTING:
        if re.search(pattern, message, re.DOTALL):
            return ReadError(kind, said, _connect_remedy(target, kind, message))
    return ReadError(
        FailureKind.LOGIN, said, "The server refused the login; its log has the details."
    )


def query_error(target: Target, what: str, sqlstate: str, message: str) -> ReadError:
    """Return the error for a statement that failed; ``what`` names the question."""
    kind = _BY_SQLSTATE.get(sqlstate) or _BY_SQLSTATE.get(sqlstate[:2], FailureKind.QUERY)
    remedy = None
    if kind is FailureKind.DENIED:
        catalog = re.search(r" ([a-z_]*pg_[a-z_]+)", message)
        on = f"pg_catalog.{catalog[1]}" if catalog else "the catalogs that PUBLIC reads"
        remedy = f"GRANT SELECT ON {on} TO {identifier(target.username)};"
    elif kind is FailureKind.STATEMENT_TIMEOUT:
        remedy = (
            f"A statement may take {target.statement_timeout_seconds:g} s here: allow more, or "
            "look at what keeps the server busy."
        )
    elif kind is FailureKind.LOCKED:
        remedy = "Something holds a lock on a system catalog (VACUUM FULL, a long DDL transaction)."
    elif sqlstate == "XX000" and "cache lookup failed" in message:
        kind = FailureKind.LOCKED
        remedy = "An object was dropped while it was being read; try again."
    elif sqlstate in {"42P01", "42703", "42883", "42601"}:
        kind = FailureKind.UNSUPPORTED
        remedy = "Its catalogs are not those of PostgreSQL 13 or later."
    return ReadError(kind, f"{what}: {_tidy(message)}", remedy)


def _connect_remedy(target: Target, kind: FailureKind, message: str) -> str | None:
    user = identifier(target.username)
    database = identifier(target.database or "postgres")
    if kind is FailureKind.DENIED:
        return f"GRANT CONNECT ON DATABASE {database} TO {user};"
    if kind is FailureKind.LOGIN:
        return _login_remedy(target, message)
    if kind is FailureKind.TLS:
        return _tls_remedy(message)
    if kind is FailureKind.NO_DATABASE:
        return "Name another database to log in to, or let it accept connections again."
    if kind is FailureKind.TOO_MANY_CONNECTIONS:
        return (
            f"Raise max_connections or the limits of the role or the database; "
            f"GRANT pg_use_reserved_connections TO {user}; keeps a slot from version 16."
        )
    if kind is FailureKind.UNSUPPORTED:
        return f"Something else than PostgreSQL answers on {_where(target)}."
    if kind is FailureKind.REFUSED:
        return (
            f"Nothing listens on {_where(target)}: is the server up, and are host and port right?"
        )
    return None


def _login_remedy(target: Target, message: str) -> str:
    if "pg_hba.conf" in message:
        database = target.database or "postgres"
        kind = "local" if target.host.startswith("/") else "hostssl"
        # "SSL off" until version 13
        if re.search("no encryption|SSL off", message) and kind != "local":
            kind = "host"
        address = re.search(r'host "([^"\s\[]+)"', message)
        where = (
            "" if kind == "local" else f" {_network(address[1]) if address else '<our address>'}"
        )
        return (
            "Add to pg_hba.conf, then SELECT pg_reload_conf():\n"
            f"{kind} {_hba_name(database)} {_hba_name(target.username)}{where} scram-sha-256"
        )
    if "not permitted to log in" in message:
        return f"ALTER ROLE {identifier(target.username)} LOGIN;"
    if "requirement" in message:
        return (
            "The server asked for the password in clear text (ldap, pam, radius, password); it is "
            "only given to a server whose certificate was verified: use TLS mode verify-full or "
            "verify-ca."
        )
    return "Check the user name and the password of the credential."


def _tls_remedy(message: str) -> str:
    if "does not support SSL" in message:
        return (
            "The server has no TLS (ssl = off). Switch it on there; or, in a network you trust, "
            "set the TLS mode of this instance to disable: everything, the login included, then "
            "travels unencrypted."
        )
    if "host name" in message:
        return (
            "The certificate is for another name: register the instance under the name that it "
            "carries, or set the TLS mode to verify-ca, which checks the authority, not the name."
        )
    if "certificate verify failed" in message or "root certificate" in message:
        return (
            "The certificate is not signed by an authority known here: give the authority's PEM as "
            "this instance's CA; or set the TLS mode to require, which encrypts without knowing to "
            "whom."
        )
    return "Check the server's certificate and ssl_* settings, or relax this instance's TLS mode."


def _where(target: Target) -> str:
    if target.host.startswith("/"):
        return f"{target.host}/.s.PGSQL.{target.port}"
    return f"{target.host} port {target.port}"


def _network(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def _hba_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_]+", name) else '"' + name.replace('"', '""') + '"'


def _tidy(message: str) -> str:
    """Return libpq's text on one line; of a server's refusal only the server's own words."""
    line = re.sub(r"\s+", " ", message).strip()
    line = re.sub(r" Is the server running[^?]*\?", "", line)  # the remedy asks that
    refusal = re.fullmatch(r"connection (?:to server .*?)?failed: FATAL: (?P<said>.*)", line)
    if refusal is None or "connection to server" in refusal["said"]:
        return line  # several addresses were tried: where each was refused matters
    return re.sub(r" ?(?:DETAIL|HINT): ", ": ", refusal["said"])
