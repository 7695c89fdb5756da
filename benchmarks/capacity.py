"""What capacity costs: ``python -m benchmarks.capacity [--quick] [--only abcde] [--json]``.

It starts servers of its own, measures, stops them, and prints a table in Markdown.
"""

from __future__ import annotations

import statistics
from time import perf_counter

from app.repositories.remote.facts import Target
from app.services.capacity_collection.capacity_collection_service import TASK
from benchmarks import aggregating, fleet, populations
from benchmarks.plain import connect
from benchmarks.report import Bench, Figure, report
from benchmarks.servers import target_of, target_server
from benchmarks.syncing import add_credential, application, collect, register

FOOTNOTES = """\
The plain catalog query asks for every relation's name and its sizes (`pg_table_size`,
`pg_indexes_size`), and fetches the rows. A collection measures the same relations exactly, and
their TOAST apart; it asks for locks first, keeps the sizes in a durable store on the same machine,
and compares what exists with what it knew. For the many instances one server with 200 databases is
registered 50 times: it and the store share the cores with WhaleFall, which has 16 instances under
way; the plain way connects to one database after the other.
"""

PLAIN = """
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_table_size(c.oid), pg_indexes_size(c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p', 'S')
"""


def many_instances(bench: Bench) -> list[Figure]:
    """(a) Many instances with many databases each, against plain queries one after the other."""
    instances, databases = (4, 10) if bench.quick else (50, 200)
    with (
        target_server(bench.place, "many-databases") as server,
        bench.store.fresh() as url,
        application(url, bench.place / "data") as app,
    ):
        bench.say(f"(a) {databases} databases: making them")
        populations.databases(server, databases)
        target = target_of(server)
        add_credential(target)
        ids = [register(f"server-{n}", target) for n in range(instances)]
        bench.say("(a) plain")
        started = perf_counter()
        for _ in ids:
            _plain_everywhere(target)
        plain = perf_counter() - started
        with fleet.working(app):
            figures = [
                Figure(
                    f"{instances} instances × {databases} databases: plain catalog queries",
                    f"{plain:.1f} s",
                )
            ]
            for name in ("first", "second"):
                bench.say(f"(a) {name} collection")
                done = fleet.run(ids, TASK)
                if done.succeeded != instances:
                    raise RuntimeError(f"a run did not end as it should have: {done}")
                figures.append(
                    Figure(
                        f"{instances} instances × {databases} databases: {name} collection",
                        f"{done.seconds:.1f} s, {done.seconds / plain:.2f} × plain",
                    )
                )
    return figures


def many_tables(bench: Bench) -> list[Figure]:
    """(b) Many tables in one database, against the plain catalog query."""
    schemas, tables, turns = (20, 2_000, 2) if bench.quick else (700, 50_000, 3)
    with target_server(bench.place, "many-tables") as server:
        bench.say(f"(b) {tables} tables: making them")
        populations.tables(server, schemas, tables)
        target = target_of(server)
        seconds: dict[str, list[float]] = {"plain": [], "first": [], "second": []}
        for turn in range(turns):
            bench.say(f"    turn {turn + 1} of {turns}")
            with bench.store.fresh() as url, application(url, bench.place / "data"):
                add_credential(target)
                instance_id = register("server", target)
                seconds["plain"].append(_timed_plain(target))
                seconds["first"].append(collect(instance_id).seconds)
                seconds["plain"].append(_timed_plain(target))
                seconds["second"].append(collect(instance_id).seconds)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    what = f"{tables:,} tables in {schemas} schemas"
    return [
        Figure(f"{what}: plain catalog query", f"{median['plain']:.2f} s"),
        *(
            Figure(
                f"{what}: {name} collection",
                f"{median[name]:.2f} s, {median[name] / median['plain']:.2f} × plain",
            )
            for name in ("first", "second")
        ),
    ]


def _timed_plain(target: Target) -> float:
    started = perf_counter()
    with connect(target, "postgres") as connection:
        connection.execute(PLAIN).fetchall()
    return perf_counter() - started


def _plain_everywhere(target: Target) -> None:
    with connect(target, "postgres") as connection:
        names = connection.execute(
            "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn"
        ).fetchall()
    for name, _ in names:
        with connect(target, name) as connection:
            connection.execute(PLAIN).fetchall()


CASES = {
    "a": many_instances,
    "b": many_tables,
    "c": aggregating.databases_of_ninety_days,
    "d": aggregating.relations,
    "e": aggregating.a_new_day,
}

if __name__ == "__main__":
    report("capacity", __doc__, CASES, FOOTNOTES)
