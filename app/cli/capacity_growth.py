"""``whalefall capacity growth`` and ``whalefall aggregate``: growth, and computing it again."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import exit_code_of
from app.cli.options import words_of
from app.cli.output import say, size_text, write, write_json, write_table
from app.cli.store import opened, who
from app.cli.teaching import Command, shows
from app.constants.capacity import Period, Scope

if TYPE_CHECKING:
    from app.cli.tables import Cell
    from app.services.capacity.growth_service import GrowthHistory, GrowthList, PeriodGrowth

TASK = "run_aggregation"


class Day(click.ParamType[date]):
    """A day: an ISO date."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day as a date."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day: write 2026-01-31", param, ctx)


DAY = Day()


@click.command(
    cls=Command,
    examples=[
        "whalefall capacity growth --period week",
        "whalefall capacity growth --by relation --period month --instance orders",
        "whalefall capacity growth --at 2026-03-31 --period quarter --json",
        "whalefall capacity growth --instance orders --database shop",
        "whalefall capacity growth --instance erp --database hr --relation hr.people",
    ],
)
@click.option("--by", type=words_of(Scope), help="What to list; default: database.")
@click.option(
    "--period", type=words_of(Period), default="day", show_default=True, help="Over what time."
)
@click.option("--at", type=DAY, help="A day in the period; default: the latest computed.")
@click.option("--instance", help="Only this server.")
@click.option("--database", help="With --by relation: only in it; else its history.")
@click.option("--relation", help="The history of this one; the database has to be named.")
@click.option("--storage", help="The history of this tablespace or volume.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="0: all.")
@shows
def growth(
    by: str | None,
    period: str,
    at: date | None,
    instance: str | None,
    database: str | None,
    relation: str | None,
    storage: str | None,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    """Show what grew most, or how one object grew.

    A list of one period, by growth; what is not known is unknown, not zero, and comes last. With
    --database (and --relation), --storage, or --by instance with --instance: the last periods of
    that one. The numbers are those of the last aggregation: whalefall run aggregation --wait
    """
    _check(by, instance, database, relation, storage)
    one = storage or relation or (database and by != Scope.RELATION)
    with opened():
        from app.services.capacity.growth_service import growth_service

        if instance and (one or by == Scope.INSTANCE):
            found = growth_service.history(
                Period(period),
                instance=instance,
                database=database,
                relation=relation,
                storage=storage,
                at=at,
                limit=limit or None,
            )
            if as_json:
                write_json(found)
            else:
                _write_history(found, wide=wide)
            return
        listed = growth_service.grown_most(
            Scope(by or Scope.DATABASE),
            Period(period),
            at=at,
            instance=instance,
            database=database,
            limit=limit or None,
        )
    if as_json:
        write_json(listed)
    else:
        write_growth(listed, wide=wide)


@click.command(
    cls=Command,
    examples=[
        "whalefall aggregate",
        "whalefall aggregate --from 2026-01-01 --to 2026-03-31",
        "whalefall aggregate --from 2026-03-01 --no-wait --json",
    ],
)
@click.option("--from", "from_date", metavar="DAY", help="Compute again from this day on.")
@click.option("--to", "to_date", metavar="DAY", help="And up to this one, inclusive.")
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="End with the run's outcome."
)
@shows
def aggregate(
    from_date: str | None, to_date: str | None, wait: bool, as_json: bool, wide: bool
) -> None:
    """Sum up sizes now; some days again.

    Computes what has changed since the last time and, with --from and --to, those days anew with
    the weeks, months and quarters around them. Days of which samples have expired stay as they
    are, and are named.
    """
    from app.cli.progress import work_done_here
    from app.cli.run import told_only, waited_for
    from app.constants.runs import Trigger

    with opened(works=wait) as app:
        from app.services.capacity_aggregation.capacity_aggregation_service import (
            capacity_aggregation_service,
        )
        from app.services.task_runs.task_runs_service import task_runs_service

        capacity_aggregation_service.check_range(from_date, to_date)
        days = {"from_date": from_date, "to_date": to_date}
        parameters = {name: day for name, day in days.items() if day is not None}

        def request() -> Any:
            return task_runs_service.request(
                TASK, trigger=Trigger.CLI, requested_by=who(), parameters=parameters
            )

        if not wait:
            told_only(request(), as_json=as_json)
            return
        with work_done_here(app):
            requested = request()
            if not requested.created:
                say(
                    f"Run {requested.run_id} of {TASK} is active already: waiting for that one."
                    + (" Ask for the days again when it has ended." if parameters else "")
                )
            state = waited_for(requested.run_id, as_json=as_json, wide=wide)
        result = task_runs_service.get_run(requested.run_id).result or {}
    if not as_json:
        _tell(result)
    raise click.exceptions.Exit(exit_code_of(state))


def _tell(result: dict[str, Any]) -> None:
    """Write what became of the periods, to standard error."""
    if "days" in result:
        say(
            "Computed: "
            + ", ".join(f"{result[word]:,} {word}" for word in ("days", "weeks", "months"))
            + f", {result['quarters']:,} quarters; sealed: {result['sealed']:,}."
        )
    for error in result.get("errors", []):
        say(error, style="red")
    if result.get("note"):
        say(f"{result['note']}: {', '.join(result['refused_days'])}", style="yellow")


def _check(
    by: str | None,
    instance: str | None,
    database: str | None,
    relation: str | None,
    storage: str | None,
) -> None:
    if (database or relation or storage) and not instance:
        raise click.UsageError("Name the server, too: --instance")
    if relation and not database:
        raise click.UsageError("Name the relation's database, too: --database")
    if storage and (database or relation):
        raise click.UsageError("--storage is not in a database: leave out --database")
    if relation and by not in (None, Scope.RELATION):
        raise click.UsageError(f"--relation does not go with --by {by}")
    if storage and by not in (None, Scope.STORAGE):
        raise click.UsageError(f"--storage does not go with --by {by}")
    if database and by in (Scope.INSTANCE, Scope.STORAGE):
        raise click.UsageError(f"--database does not go with --by {by}")


def write_growth(listed: GrowthList, *, wide: bool) -> None:
    """Write what grew most in one period as a table."""
    from app.cli.tables import Column

    if listed.start_on is not None and listed.rows:
        sealed = "sealed" if listed.rows[0].growth.sealed else "open: it can change still"
        write(f"{listed.period} {_days(listed.start_on, listed.last_day)}, {sealed}", style="bold")
    with_database = listed.scope == Scope.RELATION
    with_name = listed.scope != Scope.INSTANCE
    columns = [Column("INSTANCE", key=True)]
    columns += [Column("DATABASE", key=True)] if with_database else []
    columns += [Column(listed.scope.upper(), key=True)] if with_name else []
    write_table(
        [*columns, *_columns()],
        [
            [
                row.instance,
                *([row.database or "–"] if with_database else []),
                *([f"{row.schema}.{row.name}" if row.schema else row.name] if with_name else []),
                *_cells(row.growth),
            ]
            for row in listed.rows
        ],
        wide=wide,
        empty="Nothing is known of that period. Sum up what was collected: whalefall aggregate",
    )
    if listed.more:
        say("There are more: --limit 0 for all.")


def _write_history(found: GrowthHistory, *, wide: bool) -> None:
    from app.cli.tables import Column

    where = " in ".join(
        dict.fromkeys(part for part in (found.name, found.database, found.instance) if part)
    )
    if found.periods:
        write(f"{found.scope} {where}", style="bold", wide=wide)
    write_table(
        [Column(found.period.upper(), key=True), *_columns(), Column("STATE", least=6)],
        [
            [
                _days(one.start_on, one.last_day),
                *_cells(one),
                "sealed" if one.sealed else "open",
            ]
            for one in found.periods
        ],
        wide=wide,
        empty="Nothing is known of it yet. Sum up what was collected: whalefall aggregate",
    )


def _columns() -> list[Any]:
    from app.cli.tables import Column

    return [
        Column("SIZE", right=True),
        Column("GROWTH", right=True),
        Column("%", right=True, least=7),
        Column("SEEN", right=True, least=5),
    ]


def _cells(growth: PeriodGrowth) -> list[Cell | str]:
    from app.cli.tables import Cell

    unknown = Cell("unknown", "yellow")
    grown, percent = growth.growth_bytes, growth.growth_percent
    return [
        unknown if growth.last_bytes is None else size_text(growth.last_bytes),
        unknown if grown is None else f"{'-' if grown < 0 else '+'}{size_text(abs(grown))}",
        "–" if percent is None else f"{percent:+,.1f} %",
        Cell(
            f"{growth.seen:,}/{growth.expected:,}",
            "yellow" if growth.seen < growth.expected else "",
        ),
    ]


def _days(first: date, last: date | None) -> str:
    return first.isoformat() if last in (None, first) else f"{first.isoformat()} – {last}"
