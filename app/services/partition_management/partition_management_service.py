"""Partition management: the store's time series always have room ahead and drop what expired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from app.config import current_settings
from app.constants.partitions import PartitionPolicy
from app.models import PartitionHealth, db
from app.repositories import partition_catalog as catalog
from app.repositories import store_versions
from app.repositories.partition_catalog import Partition
from app.repositories.partitions import Patience, Span
from app.services.partition_management.creating import create_for, plan_table, tell_left_over
from app.services.partition_management.dropping import Limits, drop_expired
from app.services.partition_management.looking import TableState, bytes_of, default_rows, look
from app.services.partition_management.patience import Failed, reason_of
from app.services.partition_management.report import Alarm, Report
from app.services.partition_management.retention import effective_policies
from app.utils.refusal import Refused
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


class AlreadyManaging(Refused):
    """Somebody else manages partitions at this moment."""


@dataclass(frozen=True)
class TableStatus:
    """How one table is now, and what the last partition management said about it."""

    table: str
    step: str
    partition_count: int
    runway_days: int
    alarm: bool
    default_rows: int | None
    """None: somebody has locked the default partition."""
    total_bytes: int
    oldest_at: datetime | None
    kept_days: int | None
    """How old the oldest partition is: the retention that is really there."""
    keep_days: int | None
    keep_rows: int | None
    keep_bytes: int | None
    managed_at: datetime | None
    """None: never yet."""
    problem: str | None


class PartitionManagementService:
    """Makes partitions before they are needed, and drops them once they have expired."""

    patience = Patience()

    def manage(self, dry_run: bool = False) -> dict[str, Any]:
        """Make what is missing in every table, then drop what has expired in every table.

        1. Make: the default partition, those ahead, those of rows in the default one, those of
           gaps.
        2. Drop what is beyond the limits; raw data only if it is in sealed aggregates. If the
           setting has a mistake nothing is dropped: what it should have said is not known.
        3. Measure how long there is room, and write it down.

        Args:
            dry_run: Change nothing, and say what would be done.

        Returns:
            ``success_count`` and ``failed_count`` of tables, and what ``Report`` says.

        Raises:
            AlreadyManaging: Somebody else does so at this moment.

        """
        with db.engine.begin() as connection:
            now = store_versions.now(connection)
        return self.manage_as_of(now, dry_run=dry_run).as_dict()

    def manage_as_of(
        self, now: datetime, *, dry_run: bool = False, tables: Sequence[str] | None = None
    ) -> Report:
        """Do the same as if it were that moment, or only with some tables."""
        policies, mistakes = effective_policies(current_settings())
        if tables is not None:
            policies = {table: policies[table] for table in tables}
        report = Report(now, dry_run, mistakes=mistakes)
        if dry_run:
            self._plan(policies, report)
        else:
            with self._only_one() as guard:
                self._apply(policies, report, guard)
        self._count(policies, report)
        return report

    def drop_expired(self, tables: Sequence[str]) -> dict[str, Any]:
        """Only drop what has expired of some tables; the same lists as of ``manage``.

        Raises:
            AlreadyManaging: Somebody else manages partitions at this moment.

        """
        policies, mistakes = effective_policies(current_settings())
        chosen = {table: policies[table] for table in tables}
        with db.engine.begin() as connection:
            now = store_versions.now(connection)
        report = Report(now, dry_run=False, mistakes=mistakes)
        with self._only_one() as guard:
            self._drop(chosen, report, guard)
        self._count(chosen, report)
        return report.as_dict()

    def status(self) -> list[TableStatus]:
        """Return how every table is now, those with the least room first."""
        settings = current_settings()
        policies, _ = effective_policies(settings)
        with db.engine.begin() as connection:
            now = store_versions.now(connection)
            managed = {
                row.table_name: row for row in connection.execute(select(PartitionHealth.__table__))
            }
        found = []
        for table, state in look(policies).items():
            policy, last = state.policy, managed.get(table)
            runway = state.runway_days(now)
            oldest = state.oldest_at
            found.append(
                TableStatus(
                    table=table,
                    step=str(policy.step),
                    partition_count=len(state.partitions),
                    runway_days=runway,
                    alarm=runway < settings.partition_runway_days,
                    default_rows=_default_count(state),
                    total_bytes=sum(bytes_of(state).values()),
                    oldest_at=oldest,
                    kept_days=max((now - oldest).days, 0) if oldest else None,
                    keep_days=policy.keep_days,
                    keep_rows=policy.keep_rows,
                    keep_bytes=policy.keep_bytes,
                    managed_at=last.measured_at if last else None,
                    problem=last.problem if last else None,
                )
            )
        return sorted(found, key=lambda one: (not one.alarm, one.problem is None, one.table))

    def status_of_servers(
        self, instance: str | None = None, *, most: int = 100
    ) -> list[dict[str, Any]]:
        """Return the partitioned tables on the servers, those that end first on top."""
        with db.engine.begin() as connection:
            return catalog.servers_partitioned_tables(connection, instance, most)

    def _plan(self, policies: Mapping[str, PartitionPolicy], report: Report) -> None:
        states = look(policies)
        for state in self._existing(states, report):
            with _isolated(state, report):
                plan_table(state, report.measured_at, report)
                tell_left_over(state, report)
        for state in states.values() if not report.mistakes else ():
            with _isolated(state, report):
                drop_expired(
                    state,
                    report.measured_at,
                    self._limits(),
                    report,
                    planned=_planned(state, report),
                )
        self._measure(states, report)

    def _apply(
        self, policies: Mapping[str, PartitionPolicy], report: Report, guard: Connection
    ) -> None:
        for state in self._existing(look(policies), report):
            self._alone(guard)
            with _isolated(state, report):
                create_for(state, report.measured_at, self.patience, report)
                tell_left_over(state, report)
        if report.mistakes:
            for mistake in report.mistakes:
                logger.error(
                    "Nothing is dropped: the retention is not clear",
                    module="partition_management",
                    error=mistake,
                )
        else:
            self._drop(policies, report, guard)
        self._measure(look(policies), report)

    def _drop(
        self, policies: Mapping[str, PartitionPolicy], report: Report, guard: Connection
    ) -> None:
        if report.mistakes:
            return
        for state in look(policies).values():
            self._alone(guard)
            with _isolated(state, report):
                drop_expired(state, report.measured_at, self._limits(), report)

    def _measure(self, states: Mapping[str, TableState], report: Report) -> None:
        """Say how long there is room in each table; write it down unless this is a plan."""
        least = current_settings().partition_runway_days
        for table, state in states.items():
            days = report.runway_days[table] = state.runway_days(report.measured_at)
            if days < least:
                reason = f"in {days} days there is no partition for new rows but the default one"
                report.alarms.append(Alarm(table, days, reason))
                if not report.dry_run:
                    logger.error(
                        "Partitions run out",
                        module="partition_management",
                        table=table,
                        runway_days=days,
                        least_days=least,
                    )
            if not report.dry_run:
                with _isolated(state, report):
                    _write_health(state, report)

    def _count(self, policies: Mapping[str, PartitionPolicy], report: Report) -> None:
        failed = {trouble.table for trouble in report.failed}
        report.failed_count = len(failed) + len(report.mistakes)
        report.success_count = len(set(policies) - failed)
        for trouble in (*report.failed, *report.refused):
            if not report.dry_run:
                logger.warning(
                    "Partition management left something",
                    module="partition_management",
                    table=trouble.table,
                    partition=trouble.partition,
                    reason=trouble.reason,
                )

    def _existing(self, states: Mapping[str, TableState], report: Report) -> Iterator[TableState]:
        for table, state in states.items():
            if state.exists:
                yield state
            else:
                report.fail(
                    table, None, "there is no such partitioned table: run whalefall db upgrade"
                )

    def _limits(self) -> Limits:
        settings = current_settings()
        return Limits(settings.zone, self.patience, settings.partition_export_dir)

    @contextmanager
    def _only_one(self) -> Iterator[Connection]:
        """Keep everybody else from managing partitions; the value is the session that does so."""
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
            if not catalog.begin_management(guard):
                raise AlreadyManaging(
                    "partitions are being managed at this moment by somebody else",
                    "Try again when that has ended: whalefall runs list shows it if it is the job.",
                )
            try:
                yield guard
            finally:
                if not guard.invalidated:
                    catalog.end_management(guard)

    def _alone(self, guard: Connection) -> None:
        """Raise unless we still are the only one: the session may have been ended."""
        try:
            if catalog.still_managing(guard):
                return
        except DBAPIError as error:
            guard.invalidate()
            raise AlreadyManaging(
                f"the session that keeps others away is gone: {reason_of(error)}",
                "What was done is complete in itself. Run it again: it goes on with the rest.",
            ) from error
        raise AlreadyManaging("the lock that keeps others away is gone")


@contextmanager
def _isolated(state: TableState, report: Report) -> Iterator[None]:
    """Keep what goes wrong with one table from the others."""
    try:
        yield
    except (DBAPIError, Failed) as error:
        reason = reason_of(error)
        report.fail(state.policy.table, None, reason)
        logger.exception(
            "Partition management failed for a table",
            module="partition_management",
            table=state.policy.table,
        )


def _planned(state: TableState, report: Report) -> list[Partition]:
    """Return the partitions that the plan would have made for a table."""
    return [
        Partition(
            one.table, one.partition, one.partition, Span(one.lower, one.upper), one.rows_moved, 0
        )
        for one in report.created
        if one.table == state.policy.table and one.lower is not None and one.upper is not None
    ]


def _default_count(state: TableState) -> int | None:
    try:
        return default_rows(state.policy).total
    except Failed:
        return None


def _write_health(state: TableState, report: Report) -> None:
    table = state.policy.table
    rows = _default_count(state)
    if rows is None:
        rows = state.default.row_estimate if state.default else 0
    health = {
        "table_name": table,
        "measured_at": report.measured_at,
        "partition_count": len(state.partitions),
        "runway_days": report.runway_days[table],
        "default_rows": rows,
        "total_bytes": sum(bytes_of(state).values()),
        "oldest_at": state.oldest_at,
        "problem": report.problem_of(table),
    }
    with db.engine.begin() as connection:
        catalog.write_health(connection, health)


partition_management_service = PartitionManagementService()
