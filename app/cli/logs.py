"""``whalefall logs``: what the processes said, wherever they ran."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import MOMENT, words_of
from app.cli.output import (
    count,
    say,
    size_text,
    when,
    write,
    write_json,
    write_json_line,
    write_table,
)
from app.cli.store import opened, zone
from app.cli.teaching import Group, shows
from app.constants.logs import Level

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from app.services.log_centre.log_centre_service import LogGroup, LogRow, Wanted
    from app.services.log_cleanup.log_cleanup_service import Kept

STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}
FOLLOW_SECONDS = 1.0
_DEFAULT_SPAN = {"tail": timedelta(days=7), "search": timedelta(days=1)}


def _which(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which entries are meant."""
    for option in (
        click.option("--group", help="Only those that tell the same: see logs groups."),
        click.option("--module", help="Only this module or logger, and what is below it."),
        click.option("--run", "run_id", type=int, metavar="ID", help="Only what this run said."),
        click.option("--instance", metavar="NAME", help="Only about this server."),
        click.option("--level", type=words_of(Level), help="Only what is at least so severe."),
    ):
        function = option(function)
    return function


@click.group(
    cls=Group,
    examples=[
        "whalefall logs tail --follow",
        "whalefall logs search timeout --since 7d",
        "whalefall logs groups",
    ],
)
def logs() -> None:
    """What every process said: the log centre."""  # noqa: D401 - help, not a docstring


@logs.command(
    examples=[
        "whalefall logs tail",
        "whalefall logs tail -n 200 --level warning",
        "whalefall logs tail --follow --instance orders",
        "whalefall logs tail --run 12 --json",
    ]
)
@click.option("-n", "lines", type=click.IntRange(min=0), default=50, show_default=True)
@click.option("--since", type=MOMENT, help="Not older than this; 7d if it is not given.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Show what comes, until Ctrl-C.")
@_which
@shows
def tail(
    lines: int, since: datetime | None, follows: bool, as_json: bool, wide: bool, **which: Any
) -> None:
    """Show the latest entries, oldest first.

    With --follow and --json each entry is a JSON document on a line of its own.
    """
    since = since or _default_since("tail")
    with opened():
        from app.services.log_centre.log_centre_service import log_centre_service

        wanted = _wanted(which)
        shown_zone = zone()
        if not follows:
            page = log_centre_service.list_entries(wanted, since=since, limit=max(lines, 1))
            entries = page.entries[:lines][::-1]
            if as_json:
                write_json({"entries": entries, "next_before": page.next_before})
                return
            for entry in entries:
                _write_entry(entry, shown_zone, wide=wide)
            if not entries:
                say(f"Nothing since {when(since, shown_zone)}. Look further back: --since 30d")
            return
        follower = log_centre_service.follow(wanted, lines, since)
        news, told = follower.latest, False
        while True:
            for entry in news:
                if as_json:
                    write_json_line(entry)
                else:
                    _write_entry(entry, shown_zone, wide=wide)
            if follower.away and not told:
                say("The store does not answer; waiting for it.", style="yellow")
            told = follower.away
            time.sleep(FOLLOW_SECONDS)
            news = follower.news()


@logs.command(
    examples=[
        "whalefall logs search 'connection refused'",
        "whalefall logs search timeout --since 7d --instance orders --level error",
        "whalefall logs search --run 12 --json",
    ]
)
@click.argument("text", required=False)
@click.option("--since", type=MOMENT, help="Not older than this; 24h if it is not given.")
@click.option("--until", type=MOMENT, help="Older than this.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--before", metavar="CURSOR", help="Continue where the last list said so.")
@_which
@shows
def search(
    text: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: str | None,
    as_json: bool,
    wide: bool,
    **which: Any,
) -> None:
    """Show entries that hold TEXT, newest first.

    Capitals do not matter. The event, the fields, the traceback and the server's name are searched.
    """
    bounded = since is None
    since = since or (until or datetime.now(UTC)) - _DEFAULT_SPAN["search"]
    with opened():
        from app.services.log_centre.log_centre_service import log_centre_service

        page = log_centre_service.list_entries(
            _wanted(which, text), since=since, until=until, limit=limit, before=before
        )
        shown_zone = zone()
    if as_json:
        write_json({"entries": page.entries, "next_before": page.next_before, "since": since})
        return
    for entry in page.entries:
        _write_entry(entry, shown_zone, wide=wide)
    if page.next_before:
        say(f"There may be more: --before {page.next_before}")
    elif bounded:
        say(f"Searched from {when(since, shown_zone)} on. Further back: --since 7d")
    elif not page.entries:
        say("Nothing matches.")


@logs.command(
    examples=["whalefall logs groups", "whalefall logs groups --since 30d --level error --json"]
)
@click.option("--since", type=MOMENT, default="7d", show_default=True)
@click.option("--until", type=MOMENT, help="Older than this.")
@click.option("--level", type=words_of(Level), default="warning", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@shows
def groups(
    since: datetime,
    until: datetime | None,
    level: str,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    """Show warnings and errors, those that tell the same as one.

    The most frequent first. Names, numbers and addresses in them do not count.
    """
    with opened():
        from app.services.log_centre.log_centre_service import log_centre_service

        found = log_centre_service.list_groups(
            since=since, until=until, level=Level(level), limit=limit
        )
        shown_zone = zone()
    if as_json:
        write_json({"groups": found, "since": since})
        return
    for group in found:
        _write_group(group, shown_zone, wide=wide)
    if not found:
        say(f"No warning and no error since {when(since, shown_zone)}.")


@logs.command(examples=["whalefall logs retention", "whalefall logs retention --json"])
@shows
def retention(as_json: bool, wide: bool) -> None:
    """Show how long logs and runs are kept, and are to be.

    WHALEFALL_RETENTION changes it. Time series: whalefall partitions status
    """
    with opened():
        from app.services.log_cleanup.log_cleanup_service import log_cleanup_service

        rows = log_cleanup_service.retention()
        shown_zone = zone()
    if as_json:
        write_json({"retention": rows})
        return
    from app.cli.tables import Column

    write_table(
        [
            Column("NAME", key=True),
            Column("LIMIT", right=True, least=16),
            Column("KEPT", right=True, least=6),
            Column("ROWS", right=True, least=5),
            Column("SIZE", right=True, least=9),
            Column("OLDEST", least=16, optional=True),
        ],
        [
            [
                row.name,
                _limit(row),
                "–" if row.kept_days is None else f"{row.kept_days:.1f} d",
                "–" if row.row_count is None else f"{row.row_count:,}",
                "–" if row.total_bytes is None else size_text(row.total_bytes),
                when(row.oldest_at, shown_zone),
            ]
            for row in rows
        ],
        wide=wide,
        empty="",
    )


def _limit(row: Kept) -> str:
    limits = (
        "" if row.keep_days is None else f"{row.keep_days} d",
        "" if row.keep_rows is None else f"{row.keep_rows:,} rows",
        "" if row.keep_bytes is None else size_text(row.keep_bytes),
    )
    return ", ".join(filter(None, limits)) or "–"


def _default_since(command: str) -> datetime:
    return datetime.now(UTC) - _DEFAULT_SPAN[command]


def _wanted(which: dict[str, Any], text: str | None = None) -> Wanted:
    from app.services.log_centre.log_centre_service import Wanted

    level = which.pop("level")
    return Wanted(level=Level(level) if level else Level.DEBUG, text=text, **which)


def _write_entry(entry: LogRow, shown_zone: ZoneInfo, *, wide: bool) -> None:
    where = f" [{entry.instance}]" if entry.instance else ""
    write(
        f"{_second(entry.occurred_at, shown_zone)} {entry.level:<8} "
        f"{entry.module or entry.logger}{where}: {entry.event}",
        style=STYLES.get(entry.level),
        wide=wide,
    )
    fields = {"run": entry.run_id, "item": entry.item_id} | entry.fields
    shown = [f"{name}={_short(value)}" for name, value in fields.items() if value is not None]
    if shown:
        write("  ".join(shown), indent=4, wide=wide)
    if entry.traceback:
        lines = entry.traceback.rstrip().split("\n")
        write(entry.traceback.rstrip() if wide else lines[-1], indent=4, style="dim", wide=wide)


def _write_group(group: LogGroup, shown_zone: ZoneInfo, *, wide: bool) -> None:
    servers = f" on {count(group.instance_count, 'server')}" if group.instance_count else ""
    write(
        f"{group.entry_count:,} ×{servers}  {group.level}  "
        f"{group.module or group.logger}: {group.event}",
        style=STYLES.get(group.level),
        wide=wide,
    )
    write(
        f"{when(group.first_at, shown_zone)} to {when(group.last_at, shown_zone)}"
        f"  --group {group.group}",
        indent=4,
        wide=wide,
    )
    example = group.error or (group.traceback or "").rstrip().rsplit("\n", 1)[-1]
    if example:
        of = f"{group.instance}: " if group.instance else ""
        write(f"{of}{_short(example)}", indent=4, style="dim", wide=wide)


def _second(moment: datetime, shown_zone: ZoneInfo) -> str:
    return moment.astimezone(shown_zone).strftime("%Y-%m-%d %H:%M:%S")


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    import orjson

    return orjson.dumps(value).decode()
