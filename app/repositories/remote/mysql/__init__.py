"""MySQL 8.0.16 and later: who exists and who may do what, and back to GRANT statements."""

from __future__ import annotations

from app.repositories.remote.mysql.server import connect, read_database, read_server
from app.repositories.remote.mysql.sizes import read_database_sizes, read_server_sizes
from app.repositories.remote.mysql.statements import grant_statements

__all__ = [
    "connect",
    "grant_statements",
    "read_database",
    "read_database_sizes",
    "read_server",
    "read_server_sizes",
]
