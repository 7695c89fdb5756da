"""PostgreSQL 13 and later: who exists and who may do what, and how big everything is."""

from __future__ import annotations

from app.repositories.remote.postgresql.database import read_database
from app.repositories.remote.postgresql.rebuild import grant_statements
from app.repositories.remote.postgresql.server import read_server
from app.repositories.remote.postgresql.session import connect
from app.repositories.remote.postgresql.sizes_database import read_database_sizes
from app.repositories.remote.postgresql.sizes_server import read_server_sizes

__all__ = [
    "connect",
    "grant_statements",
    "read_database",
    "read_database_sizes",
    "read_server",
    "read_server_sizes",
]
