"""Words of capacity: what has a size, over which periods it is summed up, how it is forecast."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """Values of ``capacity_rollups.scope``: whose id ``object_id`` is."""

    INSTANCE = "instance"
    DATABASE = "database"
    RELATION = "relation"
    STORAGE = "storage"


class Period(StrEnum):
    """Values of ``capacity_rollups.period``; weeks are those of ISO 8601."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


class StorageKind(StrEnum):
    """Values of ``storages.kind``."""

    TABLESPACE = "tablespace"
    VOLUME = "volume"
    """A file system that holds files of the server."""


class RelationKind(StrEnum):
    """Values of ``relations.kind``."""

    TABLE = "table"
    PARTITIONED = "partitioned"
    """Its own size is that of its partitions together."""
    PARTITION = "partition"
    MATERIALIZED_VIEW = "materialized_view"
    SEQUENCE = "sequence"
    TEMPORARY = "temporary"
    SYSTEM = "system"
    """The catalogs of one database together."""
    UNATTRIBUTED = "unattributed"
    """Files of a database that belong to no relation that we can name."""


class ForecastStatus(StrEnum):
    """Values of ``capacity_forecasts.status``."""

    FILLS = "fills"
    STABLE = "stable"
    """It does not grow enough to fill its limit in any time that matters."""
    SHRINKS = "shrinks"
    FULL = "full"
    """It has reached its limit already."""
    NO_LIMIT = "no_limit"
    """The trend is known, but nobody has said how much fits."""
    CANNOT_SAY = "cannot_say"
