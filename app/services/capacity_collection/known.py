"""What the ledger holds of the databases whose turn comes next, a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import Connection

from app.repositories import relations, size_samples
from app.repositories.size_samples import LastSizes
from app.services.capacity_collection.reading import KnownContent
from app.utils.collector import CollectedRarely

_RELATIONS_AT_ONCE = 20_000
_DATABASES_AT_ONCE = 64


class KnownContents:
    """Loads what is known ahead of its use, so that neither memory nor statements add up."""

    def __init__(
        self,
        order: Sequence[int],
        last: Mapping[int, LastSizes],
        ask: Callable[[Callable[[Connection[Any]], None]], None],
    ) -> None:
        """Begin.

        Args:
            order: Databases in the order in which they will be asked for.
            last: When each was sized last.
            ask: Calls a function with a connection to the store, and ends its transaction.

        """
        self._waiting = list(reversed(order))
        self._last = last
        self._ask = ask
        self._loaded: dict[int, KnownContent] = {}

    def of(self, database_id: int) -> KnownContent:
        """Return what is known of the next database, once."""
        if database_id not in self._loaded:
            self._ask(self._load)
        return self._loaded.pop(database_id)

    @CollectedRarely()
    def _load(self, connection: Connection[Any]) -> None:
        chunk: list[int] = []
        size = 0
        while self._waiting and len(chunk) < _DATABASES_AT_ONCE and size < _RELATIONS_AT_ONCE:
            chunk.append(self._waiting.pop())
            size += self._last[chunk[-1]].relation_count
        moments = {i: at for i in chunk if (at := self._last[i].relations_at) is not None}
        known = relations.open_relations(connection, list(moments)) if moments else {}
        sizes = size_samples.relation_sizes(connection, moments)
        for database_id in chunk:
            mine, sized = known.get(database_id, {}), sizes.get(database_id, {})
            self._loaded[database_id] = KnownContent(
                mine, {key: sized[row.id] for key, row in mine.items() if row.id in sized}
            )
