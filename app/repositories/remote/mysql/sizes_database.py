"""One database: its files are known already, and tables are described within the budget.

1. The names of its tables, which opens none.
2. Descriptions, those first that no file tells of, then those that changed, the largest first.
3. The list of files once more if a table has come, has gone, or had not been opened before.
4. Each relation: exact where there is a file, or the engine's own lengths are those of files.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from app.constants.capacity import RelationKind
from app.constants.reading import FailureKind
from app.repositories.remote.facts import DatabaseFact, ReadError, Receipt, Target
from app.repositories.remote.mysql.names import identifier, literal
from app.repositories.remote.mysql.partitioning import partitioning
from app.repositories.remote.mysql.sizes_dialect import Dialect, prepare
from app.repositories.remote.mysql.sizes_names import fulltext_owner, relation_key
from app.repositories.remote.mysql.sizes_relations import Files, Relations, files_of
from app.repositories.remote.mysql.sizes_rights import grant_needed
from app.repositories.remote.mysql.sizes_server import read_server
from app.repositories.remote.mysql.sizes_tables import Described, describe
from app.repositories.remote.mysql.sizes_tablespaces import ListedDatabase, list_tablespaces
from app.repositories.remote.mysql_session import Session, ourselves
from app.repositories.remote.sizes import Budget, Checkpoint, DatabaseSizes, Known

_SYSTEM_LOGS = {"general_log": "event_time", "slow_log": "start_time"}
"""What we may be granted of them to see that they are empty, and that tells nobody anything."""


def read_database(
    dialect: Dialect,
    target: Target,
    database: DatabaseFact,
    known: Known,
    budget: Budget,
    receipt: Receipt,
    checkpoint: Checkpoint,
) -> DatabaseSizes:
    """Read every table and partition of one database, in a session of its own.

    Raises:
        ReadError: nothing could be read.

    """
    with dialect.connect(target, receipt) as session:
        listed = _as_listed(session, dialect, database)
        prepare(session, dialect)
        checkpoint()
        return _read(session, dialect, listed, known, budget, checkpoint)


def _as_listed(session: Session, dialect: Dialect, database: DatabaseFact) -> ListedDatabase:
    """Return the database as the server scope lists it, asking once more if that got lost."""
    found: DatabaseFact | None = database
    if not isinstance(found, ListedDatabase):
        server = read_server(session, dialect)
        found = next(
            (one.database for one in server.databases if one.database.key == database.key), None
        )
    if not isinstance(found, ListedDatabase):
        raise ReadError(FailureKind.NO_DATABASE, f"{database.name}: there is no such database")
    if found.skip_reason is not None:
        remedy = grant_needed(session.target, "PROCESS", "SHOW VIEW")
        raise ReadError(FailureKind.DENIED, found.skip_reason, remedy)
    return found


def _read(
    session: Session,
    dialect: Dialect,
    database: ListedDatabase,
    known: Known,
    budget: Budget,
    checkpoint: Checkpoint,
) -> DatabaseSizes:
    if not dialect.tables_by_id:
        database = _with_fulltext(session, dialect, database)
    files = files_of(database.tablespaces(), database.fulltext, lower_case=database.lower_case)
    missing = []
    kinds: dict[str, str | None] = {}
    try:
        sql = dialect.sql("table_names", schema=literal(database.name))
        kinds = {name: kind for name, kind, _, _ in session.ask(sql)}
    except ReadError as error:
        if error.kind is FailureKind.LOST or not database.packed:
            raise
        missing.append(error)
        database = replace(database, tables_visible=False)  # files tell what there is
    names = [name for name, kind in kinds.items() if kind not in ("VIEW", "SYSTEM VIEW")]
    described = describe(
        session, dialect, database.name, _in_turn(names, files, known), budget, checkpoint
    )
    _look_into_csv(session, database.name, described)
    names = [name for name in names if name not in described.gone]
    files = _brought_up_to_date(session, dialect, database, names, described, files, known, budget)
    relations = Relations(database, described, files, known, dialect.lists_unopened)
    unclear = [
        name for name in names if not relations.add(name, surely_a_table=kinds[name] is not None)
    ]
    if unclear:
        why = described.unread[unclear[0]]
        message = f"{len(unclear)} tables or views, first {unclear[0]}: {why.message}"
        missing.append(ReadError(why.kind, message, why.remedy))
    if not database.tables_visible and not missing:
        message = f"{database.name}: tables that are not of InnoDB may be hidden from us"
        remedy = grant_needed(session.target, "SHOW VIEW")
        missing.append(ReadError(FailureKind.DENIED, message, remedy))
    relations.add_hidden(
        kind=RelationKind.UNATTRIBUTED if database.tables_visible else RelationKind.TABLE
    )
    relations.add_left_over()
    relations.add_dictionary()
    return DatabaseSizes(
        tuple(relations.found),
        error_bytes=relations.error_bytes,
        missing=tuple(missing),
        partitioned=tuple(map(partitioning, described.partitions.values())),
    )


def _with_fulltext(session: Session, dialect: Dialect, database: ListedDatabase) -> ListedDatabase:
    """Return the database with its only table that has FULLTEXT indexes, if it is the only one."""
    spaces = database.tablespaces()
    unknown = {fulltext_owner(one.stem) for one in spaces} - {None} - database.fulltext.keys()
    if len(unknown) != 1:
        return database
    sql = dialect.sql("fulltext_names", schema=literal(database.name))
    names = {name.lower() if database.lower_case else name for (name,) in session.ask(sql)}
    stems = [one.stem for one in spaces if one.parts.table in names]
    if len(names) != 1 or len(stems) != 1:
        return database
    return replace(database, fulltext={unknown.pop() or 0: stems[0]})


def _in_turn(names: Sequence[str], files: Files, known: Known) -> list[str]:
    """Return the tables in the order in which to describe them.

    Those that nothing else tells of; those whose file has changed, or was never split up, largest
    first; then all others, in an order of which each one's turn comes some day.
    """

    def turn(name: str) -> tuple[int, float]:
        sizes = [files.own[place].file_bytes for place in files.by_table.get(name, ())]
        if not sizes or None in sizes:
            return 0, 0.0
        total = sum(size or 0 for size in sizes)
        before = [known.get(relation_key(name, leaf)) for leaf in files.leaves(name) or [""]]
        split = all(one is not None and one.data_bytes is not None for one in before)
        if not split or total != sum(one.total_bytes for one in before if one is not None):
            return 1, -float(total)
        return 2, random.random()  # noqa: S311 - nobody's secret

    return sorted(names, key=turn)


def _look_into_csv(session: Session, schema: str, described: Described) -> None:
    """Find out which tables of the CSV engine are empty: it tells nothing of their size."""
    for name, row in described.tables.items():
        if (row.engine or "").upper() != "CSV" or row.problem is not None:
            continue
        table = f"{identifier(schema)}.{identifier(name)}"
        try:
            if not session.ask(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - quoted
                continue
        except ReadError as error:
            if error.kind is FailureKind.LOST:
                raise
            if error.kind is FailureKind.DENIED:
                column = _SYSTEM_LOGS.get(name) if schema == "mysql" else None
                what = f"SELECT ({column})" if column else "SELECT"
                error.message = (
                    f"{name}: the CSV engine tells no size, and we may not see if it is empty"
                )
                error.remedy = f"GRANT {what} ON {schema}.{name} TO {ourselves(session.target)};"
            described.unread[name] = error
        else:
            message = f"{name}: the CSV engine tells no size, and it is not empty"
            remedy = f"TRUNCATE TABLE {table}; or keep it in another engine"
            described.unread[name] = ReadError(FailureKind.UNSUPPORTED, message, remedy)


def _brought_up_to_date(
    session: Session,
    dialect: Dialect,
    database: ListedDatabase,
    names: Sequence[str],
    described: Described,
    files: Files,
    known: Known,
    budget: Budget,
) -> Files:
    """Return the files, listed again if they and the tables do not fit together.

    A table that has come since has no file in the list; nor has one, in MariaDB 10.6 and later,
    that nobody had opened since the server's start, before we did. A file of a table that has gone
    since is not to be counted.
    """
    if database.packed is None or not budget.left_seconds:
        return files
    unlisted = any(
        _is_news(name, leaf, files, known)
        for name, row in described.tables.items()
        if (row.engine or "").upper() == "INNODB" and database.dictionary_bytes is None
        for leaf in _leaves(name, described)
    )
    tables = {name.lower() if database.lower_case else name for name in names}
    strange = bool(files.left_over) or any(table not in tables for table, _ in files.own)
    if not unlisted and not (strange and database.tables_visible):
        return files
    rows = dialect.tablespaces(session, database.name)
    packed = list_tablespaces(rows, (database.name,)).packed.get(database.name, "")
    again = replace(database, packed=packed).tablespaces()
    before = {one.stem for one in database.tablespaces()}
    listed = {one.stem for one in again}
    return files_of(
        [
            *(one for one in again if one.stem in before or one.parts.table in tables),
            *(
                one
                for one in database.tablespaces()
                if one.file_bytes is None and one.stem not in listed
            ),
        ],
        database.fulltext,
        lower_case=database.lower_case,
    )


def _leaves(name: str, described: Described) -> list[str]:
    """Return what of a table has files of its own."""
    partitions = described.partitions.get(name)
    return [one.leaf for one in partitions] if partitions else [""]


def _is_news(name: str, leaf: str, files: Files, known: Known) -> bool:
    """Return whether it had no file when they were listed, and was not known to have none."""
    space = files.own.get((name, leaf.lower()))
    if space is not None:
        return space.file_bytes is None and not space.shared
    before = known.get(relation_key(name, leaf))
    return before is None or before.exact_at is not None
