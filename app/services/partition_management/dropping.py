"""Dropping what has expired, if nothing is lost by it.

Nothing is ever made here. Each partition is a transaction of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.repositories import partition_drops as drops
from app.repositories.partition_catalog import Partition, has_rows
from app.repositories.partitions import Patience, wait_for_locks
from app.services.partition_management.export import ExportFailed, exported
from app.services.partition_management.looking import TableState, bytes_of, rows_of
from app.services.partition_management.patience import (
    SHORT,
    Failed,
    is_lock_trouble,
    patiently,
    told_of,
)
from app.services.partition_management.planning import Expiry, expired
from app.services.partition_management.report import Dropped, Report


class Refusal(Exception):  # noqa: N818 - an answer
    """A partition has to stay: something would be lost."""


@dataclass(frozen=True)
class Limits:
    """What holds for every drop of one management."""

    zone: ZoneInfo
    patience: Patience
    export_to: Path | None


def drop_expired(
    state: TableState,
    now: datetime,
    limits: Limits,
    report: Report,
    *,
    planned: Sequence[Partition] = (),
) -> None:
    """Drop what has expired of a table, or only say so if the report is a plan.

    Args:
        state: The table as it is.
        now: What has expired by then.
        limits: Zone, patience, and where to export to.
        report: Gets what was dropped, refused, or failed.
        planned: In a plan: partitions that would have been made before.

    """
    policy = state.policy
    if (policy.keep_days, policy.keep_rows, policy.keep_bytes) == (None, None, None):
        return
    sizes = bytes_of(state)
    unborn = {part.name for part in planned}
    partitions = sorted(
        [part for part in [*state.partitions, *planned] if part.span is not None],
        key=lambda part: part.span.lower if part.span is not None else now,
    )
    try:
        gone = expired(
            policy,
            partitions,
            now,
            bytes_of=lambda part: sizes.get(part.name, 0),
            rows_of=lambda part: part.row_estimate if part.name in unborn else rows_of(part),
        )
    except Failed as failed:
        report.fail(policy.table, None, f"its rows cannot be counted: {failed}")
        return
    for expiry in gone:
        part = expiry.partition
        assert part.span is not None  # noqa: S101 - chosen so above
        told = Dropped(
            policy.table,
            part.name,
            part.span.lower,
            part.span.upper,
            expiry.why,
            sizes.get(part.name, 0),
            part.row_estimate,
        )
        try:
            if report.dry_run:
                held_by = state.default if part.name in unborn else part
                _look(state, held_by, part, limits)
            else:
                told = replace(told, exported_to=_drop(state, expiry, limits))
        except (Refusal, ExportFailed) as refusal:
            report.refuse(policy.table, part.name, str(refusal))
        except Failed as failed:
            report.fail(policy.table, part.name, f"it cannot be dropped: {failed}")
            if failed.hopeless and not report.dry_run:
                return
        else:
            report.dropped.append(told)


def _look(
    state: TableState, held_by: Partition | None, partition: Partition, limits: Limits
) -> None:
    """Raise Refusal if a partition would have to stay."""
    if held_by is None or partition.span is None or not state.policy.sealed_first:
        return
    span = partition.span

    def look(connection: Connection) -> None:
        wait_for_locks(connection, f"{SHORT.first_ms}ms")
        times = drops.times_of(connection, state.policy, held_by.quoted_name, span)
        _refuse(drops.blockers(connection, state.policy, times, limits.zone))

    patiently(state.policy.table, SHORT, look)


def _drop(state: TableState, expiry: Expiry, limits: Limits) -> str | None:
    """Drop a partition and return the file that it was exported to.

    Raises:
        Refusal, ExportFailed, Failed: It is still there.

    """
    policy, partition = state.policy, expiry.partition
    span = partition.span
    assert span is not None  # noqa: S101 - the default partition never expires

    def work(connection: Connection) -> str | None:
        drops.keep_writers_out(connection, partition, limits.patience)
        times: Sequence[datetime] | Sequence[date] = []
        if policy.sealed_first:
            times = drops.times_of(connection, policy, partition.quoted_name, span)
            _refuse(drops.blockers(connection, policy, times, limits.zone))

        def finish() -> None:
            drops.write_expiry(connection, policy, partition, span)
            _lock_all(connection, partition, limits.patience)
            _refuse(drops.blockers(connection, policy, times, limits.zone))
            drops.drop(connection, partition)

        if limits.export_to is None or not has_rows(connection, partition.quoted_name):
            finish()
            return None
        with exported(connection, partition, limits.export_to) as export:
            finish()
            return str(export.publish())

    return patiently(policy.table, limits.patience, work)


def _lock_all(connection: Connection, partition: Partition, patience: Patience) -> None:
    """Lock everything that a drop needs; what was exported is not exported again for it.

    Raises:
        Failed: A lock was in the way every time.

    """
    pauses = list(patience.pauses_seconds)
    while True:
        try:
            with connection.begin_nested():
                drops.keep_everybody_out(connection, partition, patience)
        except DBAPIError as error:
            if not is_lock_trouble(error):
                raise
            if not pauses:
                raise Failed(told_of(error, partition.table), hopeless=True) from error
        else:
            return
        time.sleep(pauses.pop(0))


def _refuse(blockers: Sequence[str]) -> None:
    if blockers:
        told = "; ".join(blockers[:_MOST_TOLD])
        more = f"; and {len(blockers) - _MOST_TOLD} more" if len(blockers) > _MOST_TOLD else ""
        raise Refusal(f"it has rows that are in no sealed aggregate. {told}{more}")


_MOST_TOLD = 3
