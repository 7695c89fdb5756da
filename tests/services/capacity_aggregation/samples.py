"""Samples of made-up instances in a real store, every one of them also kept in memory.

What the store says of a period is compared with what plain Python says of all samples that there
ever were, whether their rows are still there or were dropped with their partition.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from flask import Flask
from psycopg import Connection

from app.config import current_settings, install_settings
from app.constants.capacity import Period, Scope
from app.constants.partitions import POLICIES
from app.models import db
from app.repositories import capacity_expiry, capacity_periods, partitions
from app.repositories.capacity_rollups import SAMPLES_OF
from app.repositories.partitions import bounds_of, ensure_partition, partition_name
from app.utils.periods import day_of, start_of

KEY = {
    Scope.INSTANCE: "instance_id",
    Scope.DATABASE: "database_id",
    Scope.RELATION: "relation_id",
    Scope.STORAGE: "storage_id",
}
BYTES = {
    Scope.INSTANCE: "total_bytes",
    Scope.DATABASE: "total_bytes",
    Scope.RELATION: "total_bytes",
    Scope.STORAGE: "used_bytes",
}
TABLES = ("capacity_collections", *SAMPLES_OF.values())


class Thing(NamedTuple):
    """One object."""

    scope: Scope
    id: int
    instance_id: int
    database_id: int | None
    first_seen_at: datetime | None
    closed_at: datetime | None

    def was_there(self, moment: datetime) -> bool:
        return (self.first_seen_at is None or self.first_seen_at <= moment) and (
            self.closed_at is None or moment < self.closed_at
        )


class State(NamedTuple):
    """What is to be in a row of capacity_rollups."""

    instance_id: int
    seen: int
    expected: int
    estimated: int
    sum_bytes: int | None
    min_bytes: int | None
    max_bytes: int | None
    first_bytes: int | None
    first_at: datetime | None
    last_bytes: int | None
    last_at: datetime | None


Key = tuple[Period, date, Scope, int]


@dataclass
class Ledger:
    """The store, and beside it all that was ever written into it."""

    app: Flask
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    things: dict[tuple[Scope, int], Thing] = field(default_factory=dict)
    collections: set[tuple[int, datetime]] = field(default_factory=set)
    samples: dict[tuple[Scope, int, datetime], tuple[int | None, bool]] = field(
        default_factory=dict
    )
    days_dropped: set[date] = field(default_factory=set)

    def begin(self, zone: str, seal_after_days: int = 3) -> None:
        """Empty the store, and put it into a zone."""
        self.set_zone(zone, seal_after_days)
        connection = self.connection()
        for table in (
            *TABLES,
            "capacity_rollups",
            "capacity_periods",
            "dirty_periods",
            "expired_samples",
            "capacity_residues",
            "relations",
            "storages",
            "databases",
            "instances",
            "credentials",
        ):
            connection.execute(f"DELETE FROM {table}")
        db.session.commit()

    def set_zone(self, zone: str, seal_after_days: int = 3) -> None:
        self.zone = ZoneInfo(zone)
        settings = current_settings().model_copy(
            update={"timezone": zone, "seal_after_days": seal_after_days}
        )
        install_settings(self.app, settings)

    def connection(self) -> Connection[Any]:
        return db.session.connection().connection.driver_connection  # type: ignore[return-value]

    # -- what there is

    def add(
        self,
        scope: Scope,
        thing_id: int,
        *,
        instance: int = 1,
        database: int | None = None,
        first_seen_at: datetime | None = None,
        closed_at: datetime | None = None,
    ) -> Thing:
        connection = self.connection()
        if scope is Scope.INSTANCE:
            instance = thing_id
            connection.execute(
                "WITH login AS (INSERT INTO credentials (name, username, secret)"
                "  VALUES ('login ' || %(name)s, 'u', '') RETURNING id)"
                " INSERT INTO instances (id, name, engine, host, port, tls_mode, credential_id)"
                " OVERRIDING SYSTEM VALUE"
                " SELECT %(id)s, %(name)s, 'postgresql', 'host', 1, 'disable', id FROM login",
                {"id": thing_id, "name": f"server{thing_id}"},
            )
        elif scope is Scope.RELATION:
            connection.execute(
                "INSERT INTO relations (id, database_id, engine_key, schema_name, name, kind,"
                " first_seen_at, closed_at) OVERRIDING SYSTEM VALUE"
                " VALUES (%s, %s, %s, 'public', 'table' || %s, 'table', %s, %s)",
                (thing_id, database, thing_id, str(thing_id), first_seen_at, closed_at),
            )
        else:
            kind = ("kind, ", "'volume', ") if scope is Scope.STORAGE else ("", "")
            connection.execute(
                f"INSERT INTO {scope}s (id, instance_id, {kind[0]}engine_key, name,"
                " first_seen_at, closed_at) OVERRIDING SYSTEM VALUE"
                f" VALUES (%s, %s, {kind[1]}%s, '{scope}' || %s, %s, %s)",
                (thing_id, instance, thing_id, str(thing_id), first_seen_at, closed_at),
            )
        db.session.commit()
        thing = Thing(scope, thing_id, instance, database, first_seen_at, closed_at)
        self.things[scope, thing_id] = thing
        return thing

    # -- what is collected

    def collect(
        self,
        instance: int,
        moment: datetime,
        sizes: dict[tuple[Scope, int], int | None],
        *,
        estimated: frozenset[int] = frozenset(),
        ensure: bool = True,
    ) -> None:
        """Write a collection, or some more of its samples, and the mark, as the product does."""
        for table in TABLES if ensure else ():
            ensure_partition(db.session.connection(), table, moment)
        connection = self.connection()
        if (instance, moment) not in self.collections:
            connection.execute(
                "INSERT INTO capacity_collections (instance_id, collected_at, run_item_id)"
                " VALUES (%s, %s, 0)",
                (instance, moment),
            )
            self.collections.add((instance, moment))
        for (scope, thing_id), size in sizes.items():
            if (scope, thing_id, moment) not in self.samples:
                guessed = scope is Scope.RELATION and thing_id in estimated
                self._insert(self.things[scope, thing_id], moment, size, guessed)
                self.samples[scope, thing_id, moment] = (size, guessed)
        self._mark(instance, moment)
        db.session.commit()

    def correct(self, scope: Scope, thing_id: int, moment: datetime, size: int | None) -> bool:
        """Change a sample, or take it away (None); False if its row is gone already."""
        table, key, column = SAMPLES_OF[scope], KEY[scope], BYTES[scope]
        where = f"{key} = %s AND collected_at = %s"
        connection = self.connection()
        if size is None:
            found = connection.execute(f"DELETE FROM {table} WHERE {where}", (thing_id, moment))
        else:
            found = connection.execute(
                f"UPDATE {table} SET {column} = %s WHERE {where}", (size, thing_id, moment)
            )
        if found.rowcount:
            guessed = self.samples[scope, thing_id, moment][1]
            if size is None:
                del self.samples[scope, thing_id, moment]
            else:
                self.samples[scope, thing_id, moment] = (size, guessed)
            self._mark(self.things[scope, thing_id].instance_id, moment)
        db.session.commit()
        return bool(found.rowcount)

    def _insert(self, thing: Thing, moment: datetime, size: int | None, guessed: bool) -> None:
        connection = self.connection()
        if thing.scope is Scope.INSTANCE:
            connection.execute(
                "INSERT INTO instance_sizes (collected_at, total_bytes, known_bytes, instance_id,"
                " database_count, unsized_databases) VALUES (%s, %s, 0, %s, 1, 0)",
                (moment, size, thing.id),
            )
        elif thing.scope is Scope.RELATION:
            connection.execute(
                "INSERT INTO relation_sizes (collected_at, exact_at, total_bytes, database_id,"
                " relation_id) VALUES (%s, %s, %s, %s, %s)",
                (moment, None if guessed else moment, size, thing.database_id, thing.id),
            )
        else:
            connection.execute(
                f"INSERT INTO {SAMPLES_OF[thing.scope]} (collected_at, {BYTES[thing.scope]},"
                f" instance_id, {KEY[thing.scope]}) VALUES (%s, %s, %s, %s)",
                (moment, size, thing.instance_id, thing.id),
            )

    def _mark(self, instance: int, moment: datetime) -> None:
        capacity_periods.mark_dirty(
            self.connection(), Period.DAY, day_of(moment, self.zone), instance
        )

    # -- what is dropped

    def drop_partition(self, table: str, moment: datetime) -> bool:
        """Drop the partition of the moment, unless a day in it is not sealed or is dirty."""
        name = partition_name(table, moment)
        starts_at, ends_at = bounds_of(POLICIES[table].step, moment)
        connection = self.connection()
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
        if there is None or not there[0]:
            db.session.rollback()
            return False
        connection.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        moments = connection.execute(f"SELECT DISTINCT collected_at FROM {name}").fetchall()
        for day in {day_of(row[0], self.zone) for row in moments}:
            if not self._sealed(day):
                db.session.rollback()
                return False
        capacity_expiry.expire(connection, table, name, starts_at, ends_at)
        connection.execute(f"DROP TABLE {name}")
        db.session.commit()
        partitions._seen.clear()  # as in a process that begins: it makes the partition again
        return True

    def drop_days(self, day: date) -> bool:
        """Drop the states of the days of one month, if their samples are gone and all is sealed."""
        first = day.replace(day=1)
        after_last = bounds_of(POLICIES["capacity_rollups_day"].step, _noon(day))[1].date()
        name = partition_name("capacity_rollups_day", _noon(day))
        connection = self.connection()
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
        days = capacity_periods.computed(connection, Period.DAY, first, _last(after_last))
        left = capacity_expiry.samples_left(connection, first, after_last)
        if there != (True,) or left is not None or not all(self._sealed(one) for one in days):
            db.session.rollback()
            return False
        capacity_expiry.expire_days(connection, first, after_last)
        connection.execute(f"DROP TABLE {name}")
        db.session.commit()
        partitions._seen.clear()
        self.days_dropped.update(days)
        return True

    def _sealed(self, day: date) -> bool:
        connection = self.connection()
        for period in Period:
            start = start_of(period, day)
            row = connection.execute(
                "SELECT sealed_at IS NOT NULL FROM capacity_periods"
                " WHERE period = %s AND start_on = %s",
                (period, start),
            ).fetchone()
            if row != (True,):
                return False
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM dirty_periods WHERE start_on = %s AND period = 'day')",
            (day,),
        ).fetchone()
        return row == (False,)

    # -- what is to be

    def wanted(self) -> dict[Key, State]:
        """Return what plain Python says of all samples that there ever were."""
        sizes: dict[Key, list[tuple[datetime, int, bool]]] = defaultdict(list)
        expected: dict[Key, int] = defaultdict(int)
        for (scope, thing_id, moment), (size, guessed) in self.samples.items():
            if size is None:
                continue
            for period in Period:
                start = start_of(period, day_of(moment, self.zone))
                sizes[period, start, scope, thing_id].append((moment, size, guessed))
        for instance, moment in self.collections:
            for thing in self.things.values():
                if thing.instance_id == instance and thing.was_there(moment):
                    for period in Period:
                        start = start_of(period, day_of(moment, self.zone))
                        expected[period, start, thing.scope, thing.id] += 1
        wanted = {}
        for key in {*sizes, *expected}:
            period, start, scope, thing_id = key
            if period is Period.DAY and start in self.days_dropped:
                continue
            found = sorted(sizes.get(key, []))
            numbers = [size for _, size, _ in found]
            first, last = (found[0], found[-1]) if found else (None, None)
            wanted[key] = State(
                self.things[scope, thing_id].instance_id,
                len(found),
                expected.get(key, 0),
                sum(guessed for _, _, guessed in found),
                sum(numbers) if found else None,
                min(numbers) if found else None,
                max(numbers) if found else None,
                first[1] if first else None,
                first[0] if first else None,
                last[1] if last else None,
                last[0] if last else None,
            )
        return wanted

    def found(self) -> dict[Key, State]:
        """Return what the store says."""
        rows = self.connection().execute(
            f"SELECT period, start_on, scope, object_id, {', '.join(State._fields)}"
            " FROM capacity_rollups"
        )
        found = {(Period(row[0]), row[1], Scope(row[2]), row[3]): _state(row[4:]) for row in rows}
        db.session.rollback()
        return found

    def marks(self) -> list[tuple[str, date, int]]:
        rows = self.connection().execute(
            "SELECT DISTINCT period, start_on, instance_id FROM dirty_periods ORDER BY 1, 2, 3"
        )
        found = rows.fetchall()
        db.session.rollback()
        return found

    def sealed(self) -> set[tuple[str, date]]:
        rows = self.connection().execute(
            "SELECT period, start_on FROM capacity_periods WHERE sealed_at IS NOT NULL"
        )
        found = set(rows.fetchall())
        db.session.rollback()
        return found


def _state(row: Any) -> State:
    state = State(*row)
    return state if state.sum_bytes is None else state._replace(sum_bytes=int(state.sum_bytes))


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _last(after_last: date) -> date:
    return after_last - timedelta(days=1)
