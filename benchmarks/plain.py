"""The yardstick: fetch what account sync reads, once, with nothing but psycopg."""

from __future__ import annotations

import psycopg
from psycopg import sql

from app.repositories.remote.facts import Target
from app.repositories.remote.postgresql import database as database_scope
from app.repositories.remote.postgresql import server as server_scope
from app.repositories.remote.postgresql.queries import query


def fetch(target: Target) -> int:
    """Connect to the server and to each of its databases, execute and fetch; return rows."""
    with connect(target, "postgres") as connection:
        parts = [*server_scope._PARTS, "parameters"]
        rows = _fetch(connection, parts)
        names = [
            row[0]
            for row in connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn ORDER BY oid"
            )
        ]
    for name in names:
        with connect(target, name) as connection:
            rows += _fetch(connection, database_scope._PARTS)
    return rows


def connect(target: Target, database: str) -> psycopg.Connection:
    """Log in to one database as the monitoring account."""
    return psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=database,
        sslmode="disable",
        gssencmode="disable",
    )


def _fetch(connection: psycopg.Connection, parts: tuple[str, ...] | list[str]) -> int:
    major = connection.info.server_version // 10000
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return sum(len(connection.execute(sql.SQL(query(part, major))).fetchall()) for part in parts)
