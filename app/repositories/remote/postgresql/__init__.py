"""PostgreSQL 13 and later: who exists and who may do what, and back to GRANT statements."""

from __future__ import annotations

from app.repositories.remote.postgresql.database import read_database
from app.repositories.remote.postgresql.rebuild import grant_statements
from app.repositories.remote.postgresql.server import read_server
from app.repositories.remote.postgresql.session import connect

__all__ = ["connect", "grant_statements", "read_database", "read_server"]
