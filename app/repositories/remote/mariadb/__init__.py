"""MariaDB 10.5.2 and later: who exists and who may do what, and back to GRANT statements."""

from __future__ import annotations

from app.repositories.remote.mariadb.server import connect, read_database, read_server
from app.repositories.remote.mariadb.sizes import read_database_sizes, read_server_sizes
from app.repositories.remote.mariadb.statements import grant_statements

__all__ = [
    "connect",
    "grant_statements",
    "read_database",
    "read_database_sizes",
    "read_server",
    "read_server_sizes",
]
