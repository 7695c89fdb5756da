"""The end of databases: concluded in one place, whichever job is the first to see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from app.constants.accounts import ChangeKind
from app.repositories import account_scopes, databases, entitlements, relations, unsized_objects
from app.repositories.account_changes import Change


def end_databases(
    connection: Connection[Any], instance_id: int, gone: Mapping[int, str], moment: datetime
) -> list[Change]:
    """Conclude that databases are gone, with everything in them.

    1. Close them; one that somebody else has closed already is his to tell.
    2. Close what accounts held inside them, and their relations; forget what was unknown there.
    3. Return one change for each that account sync had known.

    Args:
        connection: Of the caller's transaction.
        instance_id: Where they were.
        gone: Their names by id.
        moment: Since when they are gone.

    """
    closed = databases.close(connection, list(gone), moment) if gone else []
    if not closed:
        return []
    holders = entitlements.close_of_databases(connection, instance_id, closed, moment)
    relations.close_of_databases(connection, closed, moment)
    unsized_objects.forget_of_databases(connection, instance_id, closed)
    return [
        Change(
            ChangeKind.DATABASE_DROPPED,
            False,
            {
                "removed": [
                    {
                        "fact": "database",
                        "name": gone[database_id],
                        "holders": holders.get(database_id, 0),
                    }
                ]
            },
            database_id=database_id,
            database_name=gone[database_id],
        )
        for database_id in account_scopes.those_known(connection, closed)
    ]
