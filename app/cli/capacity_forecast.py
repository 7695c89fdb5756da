"""``whalefall capacity forecast`` and ``limit``: when everything is full, and how much fits."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from app.cli.options import AHEAD_DAYS, SIZE
from app.cli.output import say, size_text, when, write, write_json, write_table
from app.cli.store import opened, who, zone
from app.cli.teaching import Command, Group, shows

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from app.cli.tables import Cell
    from app.services.forecast.forecast_service import ForecastList, ForecastRow

_STYLES = {"full": "red", "fills": "yellow", "cannot_say": "magenta"}


@click.command(
    cls=Command,
    examples=[
        "whalefall capacity forecast",
        "whalefall capacity forecast --by storage --within 90d",
        "whalefall capacity forecast --instance orders --limit 0 --json",
    ],
)
@click.option("--instance", help="Only this server and what is on it.")
@click.option(
    "--by",
    "scope",
    type=click.Choice(["database", "instance", "storage"]),
    help="Only databases, only servers, or only tablespaces and volumes.",
)
@click.option(
    "--within", "within_days", type=AHEAD_DAYS, help="Only what fills up within: 90d, 8w."
)
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0: all.")
@shows
def forecast(
    instance: str | None,
    scope: str | None,
    within_days: int | None,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    """Show when everything is full, the soonest first.

    Days from the last collection to the limit: the one that the server tells, or one that you set
    (whalefall capacity limit set). The interval holds the day in 8 of 10 cases. ERROR is how far
    the same forecast was off for days that have passed.
    """
    with opened():
        from app.services.forecast.forecast_service import forecast_service

        found = forecast_service.list_forecasts(
            instance=instance, scope=scope, within_days=within_days, limit=limit or None
        )
        shown_zone = zone()
    if as_json:
        write_json({"forecasts": found.rows, "more": found.more})
        return
    write_forecasts(found, shown_zone, wide=wide)


@click.group(
    cls=Group,
    examples=[
        "whalefall capacity limit set orders --database shop 500GiB",
        "whalefall capacity limit list",
    ],
)
def limit() -> None:
    """Say how much may be used, for the forecast."""


@limit.command(
    "set",
    examples=[
        "whalefall capacity limit set orders 2TiB",
        "whalefall capacity limit set orders --database shop 500GiB",
        "whalefall capacity limit set orders --storage pg_default 1.5TB --later",
    ],
)
@click.argument("instance")
@click.option("--database", help="Of this database.")
@click.option("--storage", help="Of this tablespace or volume.")
@click.option("--later", is_flag=True, help="Leave the forecast to the next aggregation.")
@click.argument("size", type=SIZE)
def set_(instance: str, database: str | None, storage: str | None, later: bool, size: int) -> None:
    """Set how much of INSTANCE may be used.

    Or of one database, tablespace or volume of it. It wins over the limit that the server itself
    tells. The forecasts are computed anew at once.
    """
    with opened():
        from app.services.forecast.forecast_service import forecast_service

        forecast_service.set_limit(instance, size, database=database, storage=storage, by=who())
        if not later:
            forecast_service.refresh()
    say(f"{_words(instance, database, storage)} may use {size_text(size)} ({size:,} bytes).")


@limit.command(
    "clear",
    examples=[
        "whalefall capacity limit clear orders",
        "whalefall capacity limit clear orders --database shop",
    ],
)
@click.argument("instance")
@click.option("--database", help="Of this database.")
@click.option("--storage", help="Of this tablespace or volume.")
@click.option("--later", is_flag=True, help="Leave the forecast to the next aggregation.")
def clear(instance: str, database: str | None, storage: str | None, later: bool) -> None:
    """Forget the limit that was set.

    What the server itself tells, if it tells anything, counts again.
    """
    with opened():
        from app.services.forecast.forecast_service import forecast_service

        forecast_service.clear_limit(instance, database=database, storage=storage)
        if not later:
            forecast_service.refresh()
    say(f"{_words(instance, database, storage)} has no limit of yours any more.")


@limit.command(
    "list", examples=["whalefall capacity limit list", "whalefall capacity limit list --json"]
)
@shows
def list_(as_json: bool, wide: bool) -> None:
    """List the limits that people have set."""
    with opened():
        from app.services.forecast.forecast_service import forecast_service

        rows = forecast_service.list_limits()
        shown_zone = zone()
    if as_json:
        write_json({"limits": rows})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("INSTANCE", key=True),
            Column("OF", least=8),
            Column("NAME", key=True),
            Column("LIMIT", right=True),
            Column("SET", least=16),
            Column("BY", least=6),
        ],
        [
            [
                row.instance,
                row.kind or row.scope,
                row.name or "–",
                size_text(row.limit_bytes),
                when(row.set_at, shown_zone),
                row.set_by or "–",
            ]
            for row in rows
        ],
        wide=wide,
        empty="Nobody has set a limit: whalefall capacity limit set --help",
    )


def write_forecasts(found: ForecastList, shown_zone: ZoneInfo, *, wide: bool) -> None:
    """Write when everything is full as a table, and below it why that cannot be said of some."""
    from app.cli.tables import Column

    write_table(
        [
            Column("OBJECT", key=True),
            Column("NOW", right=True, least=9),
            Column("LIMIT", right=True, least=9),
            Column("A DAY", right=True, least=9),
            Column("FULL IN", least=12),
            Column("INTERVAL", least=14),
            Column("ON", least=10, optional=True),
            Column("ERROR", right=True, least=5, optional=True),
            Column("TREND SINCE", least=10, optional=True),
            Column("LIMIT FROM", least=9, optional=True),
        ],
        [
            [
                _object(row),
                "unknown" if row.current_bytes is None else size_text(row.current_bytes),
                "–" if row.limit_bytes is None else size_text(row.limit_bytes),
                _growth(row.bytes_per_day),
                _verdict(row),
                _interval(row),
                _day(row.full_on),
                "–" if row.backtest_error is None else f"{row.backtest_error:.1f} %",
                _day(row.regime_since),
                row.limit_source or "–",
            ]
            for row in found.rows
        ],
        wide=wide,
        empty="Nothing is foretold here. Forecasts follow from: whalefall aggregate",
    )
    for row in found.rows:
        if row.reason:
            write(f"{_object(row)}: {row.reason}", style="yellow", wide=wide)
    if found.rows:
        computed_at = max(row.computed_at for row in found.rows)
        say(f"As of the aggregation of {when(computed_at, shown_zone)}.", style="dim")
    if found.more:
        say("There are more: --limit 0 for all.")


def _object(row: ForecastRow) -> str:
    if row.name is None:
        return row.instance
    return f"{row.instance}: {row.kind or row.scope} {row.name}"


def _words(instance: str, database: str | None, storage: str | None) -> str:
    name = database or storage
    return f"{name} of {instance}" if name else instance


def _growth(bytes_per_day: float | None) -> str:
    if bytes_per_day is None:
        return "unknown"
    return ("+" if bytes_per_day > 0 else "") + size_text(round(bytes_per_day))


def _verdict(row: ForecastRow) -> Cell:
    from app.cli.tables import Cell

    days = row.days_to_limit
    words = {
        "full": "full",
        "fills": f"{days:,.0f} days" if days is not None else "",
        "stable": "over 2 years",
        "shrinks": "it shrinks",
        "no_limit": "no limit set",
        "cannot_say": "cannot say",
    }
    return Cell(words[row.status], _STYLES.get(row.status, ""))


def _interval(row: ForecastRow) -> str:
    if row.status == "full" or row.days_earliest is None:
        return "–"
    latest = "never" if row.days_latest is None else f"{row.days_latest:,.0f}"
    return f"{row.days_earliest:,.0f} to {latest}"


def _day(day: date | None) -> str:
    return "–" if day is None else day.isoformat()
