"""Making what is missing: the default partition, those ahead, those of stray rows, those of gaps.

Nothing is ever dropped here. Each partition is a transaction of its own, and what fails for one
table leaves the others alone.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from app.repositories.partition_catalog import DefaultRows
from app.repositories.partitions import Patience, make_default, make_partition
from app.services.partition_management.looking import TableState, default_rows
from app.services.partition_management.patience import Failed, patiently
from app.services.partition_management.planning import MOST_CREATIONS, Creation, creations
from app.services.partition_management.report import Made, Report, Trouble


def wanted_of(state: TableState, now: datetime, report: Report) -> list[Creation]:
    """Return what has to be made for a table; says in the report what cannot be seen or made."""
    table = state.policy.table
    try:
        rows = default_rows(state.policy)
    except Failed as failed:
        report.fail(table, None, f"its default partition cannot be read: {failed}")
        rows = DefaultRows({}, 0)
    if rows.beyond:
        report.fail(
            table,
            state.default.name if state.default else None,
            f"{rows.beyond} rows have a time for which no partition can be made (infinity, or "
            "outside of the years 2 to 9997): correct or delete them",
        )
    wanted = creations(state.policy, state.partitions, rows, now)
    if len(wanted) > MOST_CREATIONS:
        report.fail(
            table,
            None,
            f"{len(wanted) - MOST_CREATIONS} more partitions are missing than are made at once: "
            "the next partition management goes on",
        )
    return wanted[:MOST_CREATIONS]


def plan_table(state: TableState, now: datetime, report: Report) -> None:
    """Say what would be made for a table."""
    if state.default is None:
        _tell_default(state, report)
    for creation in wanted_of(state, now, report):
        _tell(creation, creation.rows, report)


def create_for(state: TableState, now: datetime, patience: Patience, report: Report) -> None:
    """Make what is missing of a table; stops where a lock is in the way for long."""
    table = state.policy.table
    if state.default is None:
        try:
            patiently(table, patience, lambda connection: make_default(connection, table, patience))
        except Failed as failed:
            report.fail(table, f"{table}_default", f"it cannot be made: {failed}")
            if failed.hopeless:
                return
        else:
            _tell_default(state, report)
    wanted = wanted_of(state, now, report)
    for position, creation in enumerate(wanted):

        def make(connection: Connection, creation: Creation = creation) -> int:
            return make_partition(connection, state.policy, creation.span, patience)

        try:
            moved = patiently(table, patience, make)
        except Failed as failed:
            if failed.hopeless:
                others = len(wanted) - position - 1
                more = f" {others} more partitions were not tried." if others else ""
                report.fail(table, creation.name, f"it cannot be made now: {failed}{more}")
                return
            report.fail(table, creation.name, f"it cannot be made: {failed}")
        else:
            _tell(creation, moved, report)


def tell_left_over(state: TableState, report: Report) -> None:
    """Say which tables are called like partitions of a table and are none, and stay so."""
    made = {one.partition for one in report.created if one.table == state.policy.table}
    for lone in state.left_over:
        if lone.name not in made:
            report.left_over.append(
                Trouble(
                    state.policy.table,
                    lone.name,
                    "it is not attached, so that nothing reads it: attach it, rename it, or drop "
                    "it. It is left alone",
                )
            )


def _tell(creation: Creation, moved: int, report: Report) -> None:
    made = Made(
        creation.table,
        creation.name,
        creation.span.lower,
        creation.span.upper,
        str(creation.why),
        moved,
    )
    report.created.append(made)
    if moved:
        report.drained.append(made)


def _tell_default(state: TableState, report: Report) -> None:
    table = state.policy.table
    report.created.append(Made(table, f"{table}_default", None, None, "no default", 0))
