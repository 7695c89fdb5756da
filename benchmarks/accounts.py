"""What account sync costs: ``python -m benchmarks.accounts [--quick] [--only abcde] [--json]``.

It starts servers of its own, measures, stops them, and prints a table in Markdown.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

from app.utils.embedded_postgres import PORT, EmbeddedPostgres
from benchmarks import fleet, populations
from benchmarks.delay_proxy import delayed
from benchmarks.memory import peak_of_first_sync
from benchmarks.plain import fetch
from benchmarks.report import Bench, Figure, report
from benchmarks.servers import target_of, target_server
from benchmarks.statements import counted
from benchmarks.syncing import add_credential, application, register, sync

ROUND_TRIP_MS = 20
CONNECT_TIMEOUT_SECONDS = 5
HUNG = 3

FOOTNOTES = """\
Times are medians, and ratios those of medians, measured by turns. *Plain psycopg* connects to the
server and to each of its databases one after the other, executes the `.sql` files that account sync
executes, and fetches their rows. A sync reads the same, understands it, and writes the ledger to a
durable store on the same machine. Statements are those that the store logged (`log_statement =
all`, BEGIN and COMMIT included) and those that the receipt counts on the target; once a second a
sync also asks the store whether it was cancelled meanwhile. Rows written are the sums of
`pg_stat_user_tables`: two a scope, and the run with its item. Peak memory is that of a process that
does nothing else. The many instances are one server behind one delayed way, registered many times,
so that its own work, more than half of all, shares the same cores; 16 are read at once.
"""


def ratios_of_roles(bench: Bench) -> list[Figure]:
    """(a) Roles with memberships and grants, against plain psycopg; (b) statements and rows."""
    figures = []
    for count, turns in ((500, 2), (2000, 2)) if bench.quick else ((5_000, 5), (20_000, 5)):
        with target_server(bench.place, f"roles-{count}") as server:
            bench.say(f"(a) {count} roles: making them")
            populations.roles(server, count)
            figures += _ratios(
                bench,
                server,
                f"{count:,} roles",
                turns,
                change=partial(populations.change_one_percent, server, count),
            )
    return figures


def ratios_of_relations(bench: Bench) -> list[Figure]:
    """(c) Relations with ACLs in many schemas, against plain psycopg."""
    count, turns = (1_024, 2) if bench.quick else (8_192, 5)
    with target_server(bench.place, "relations") as server:
        bench.say(f"(c) {count} relations: making them")
        populations.relations(server, count)
        return _ratios(bench, server, f"{count:,} relations, 4 databases × 256 schemas", turns)


def statements_and_rows(bench: Bench) -> list[Figure]:
    """(b) Statements on the target and on the store, and rows written, by number of accounts."""
    sizes = (100, 500, 2_000) if bench.quick else (100, 5_000, 20_000)
    first: list[tuple[int, ...]] = []
    none: list[tuple[int, ...]] = []
    for count in sizes:
        with target_server(bench.place, f"statements-{count}") as server:
            bench.say(f"(b) {count} roles: counting statements")
            populations.roles(server, count)
            target = target_of(server)
            with bench.store.fresh() as url, application(url, bench.place / "data"):
                add_credential(target)
                instance_id = register("server", target)
                for found in (first, none):
                    with counted(bench.store, url) as cost:
                        done = sync(instance_id)
                    found.append((done.receipt["queries"], cost.statements, cost.rows_written))
    accounts = " / ".join(f"{count:,}" for count in sizes)
    return [
        Figure(
            f"{accounts} accounts, {name}: {what}",
            " / ".join(f"{row[column]:,}" for row in rows),
            aim,
        )
        for name, rows in (("first sync", first), ("no change", none))
        for column, what, aim in (
            (0, "statements on the target", "constant"),
            (1, "statements on the store", "constant"),
            (2, "rows written to the store", "O(1)" if name == "no change" else ""),
        )
    ]


def many_instances(bench: Bench) -> list[Figure]:
    """(d) Many small instances with a long way to each, in one run of a real worker."""
    count = 10 if bench.quick else 50
    with (
        target_server(bench.place, "small") as server,
        delayed(server.socket_directory / f".s.PGSQL.{PORT}", ROUND_TRIP_MS) as port,
        bench.store.fresh() as url,
        application(
            url, bench.place / "data", connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS
        ) as app,
    ):
        populations.small(server)
        target = replace(target_of(server), host="127.0.0.1", port=port)
        add_credential(target)
        alone = [register(f"alone-{n}", target) for n in range(5)]
        many = [register(f"server-{n}", target) for n in range(count)]
        with fleet.working(app), fleet.hung_hosts(HUNG) as ports:
            hung = [register(f"hung-{p}", replace(target, port=p)) for p in ports]
            figures = []
            for name in ("first sync", "no change"):
                bench.say(f"(d) {count} instances, {name}")
                single = max(fleet.run([one]).seconds for one in alone)
                together = fleet.run(many)
                _expect(together.succeeded == count, f"{together}")
                figures.append(
                    Figure(
                        f"{count} instances × 50 accounts, {ROUND_TRIP_MS} ms away, {name}",
                        f"{together.seconds:.2f} s; the slowest one alone {single:.2f} s:"
                        f" {together.seconds / single:.1f} times",
                    )
                )
            bench.say(f"(d) {count} instances, {HUNG} of them hung")
            with_hung = fleet.run(many[HUNG:] + hung)
            _expect(with_hung.failed == HUNG, f"{with_hung}")
            figures.append(
                Figure(
                    f"the same, and the last {HUNG} in the queue are hung hosts"
                    f" (connect time-out {CONNECT_TIMEOUT_SECONDS} s)",
                    f"{with_hung.seconds:.2f} s",
                    "the time-out once",
                )
            )
    return figures


def memory(bench: Bench) -> list[Figure]:
    """(e) Peak memory of a first sync, in a process of its own."""
    cases: list[tuple[str, Callable[[EmbeddedPostgres, int], None], int]] = [
        ("roles", populations.roles, 2_000 if bench.quick else 20_000),
        ("relations", populations.relations, 1_024 if bench.quick else 8_192),
    ]
    figures = []
    for name, populate, count in cases:
        with target_server(bench.place, f"memory-{name}") as server:
            bench.say(f"(e) {count} {name}: peak memory")
            populate(server, count)
            target = target_of(server)
            with bench.store.fresh() as url:
                with application(url, bench.place / "data"):
                    add_credential(target)
                    instance_id = register("server", target)
                before, after = peak_of_first_sync(url, bench.place / "data", instance_id)
        figures.append(
            Figure(
                f"peak memory, first sync of {count:,} {name}",
                f"{after / 2**20:.0f} MiB, {before / 2**20:.0f} MiB of it before it begins",
            )
        )
    return figures


def _ratios(
    bench: Bench,
    server: EmbeddedPostgres,
    what: str,
    turns: int,
    change: Callable[[int], object] | None = None,
) -> list[Figure]:
    target = target_of(server)
    seconds: dict[str, list[float]] = {"plain": [], "first": [], "none": [], "one": []}
    rows = 0
    for turn in range(-1, turns):  # the first turn only warms caches
        bench.say(f"    {what}: turn {turn + 1} of {turns}")
        taken: dict[str, float] = {}
        with bench.store.fresh() as url, application(url, bench.place / "data"):
            add_credential(target)
            instance_id = register("server", target)
            started = perf_counter()
            rows = fetch(target)
            taken["plain"] = perf_counter() - started
            taken["first"] = sync(instance_id).seconds
            started = perf_counter()
            fetch(target)
            taken["plain again"] = perf_counter() - started
            taken["none"] = sync(instance_id).seconds
            if change:
                change(turn + 1)
                taken["one"] = sync(instance_id).seconds
        if turn >= 0:
            seconds["plain"] += [taken["plain"], taken["plain again"]]
            for name in ("first", "none", "one"):
                if name in taken:
                    seconds[name].append(taken[name])
    median = {name: statistics.median(found) for name, found in seconds.items() if found}
    plain = median["plain"]
    figures = [Figure(f"{what} ({rows:,} rows): plain psycopg", f"{plain:.2f} s")]
    for name, title, aim in (
        ("first", "first sync", "≤ 3"),
        ("none", "sync without a change", "≤ 1.5"),
        ("one", "sync with 1 % changed", ""),
    ):
        if name in median:
            figures.append(
                Figure(
                    f"{what}: {title}",
                    f"{median[name]:.2f} s, {median[name] / plain:.2f} × plain",
                    aim,
                )
            )
    return figures


def _expect(held: bool, found: str) -> None:
    if not held:
        raise RuntimeError(f"a run did not end as it should have: {found}")


CASES = {
    "a": ratios_of_roles,
    "b": statements_and_rows,
    "c": ratios_of_relations,
    "d": many_instances,
    "e": memory,
}


if __name__ == "__main__":
    report("accounts", __doc__, CASES, FOOTNOTES)
