"""What lives on the servers to look after, in realistic numbers."""

from __future__ import annotations

import psycopg
from psycopg import sql

from app.utils.embedded_postgres import EmbeddedPostgres

ROLE_DATABASES = ("orders", "crm", "billing", "archive")
TABLES_A_DATABASE = 200
RELATION_DATABASES = ("plant_1", "plant_2", "plant_3", "plant_4")
GROUPS = 64


def roles(server: EmbeddedPostgres, count: int) -> None:
    """Make so many roles, one in ten a group.

    Groups are nested: each but the first ten is in one of the first ten. Each login is in two or
    three groups, may CONNECT to one or two databases and holds something on one or two tables, of
    200 in each of four databases. Groups may CONNECT to one database each.
    """
    groups = max(count // 10, 1)
    logins = count - groups
    with _superuser(server) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR i IN 0..{groups - 1} LOOP EXECUTE format('CREATE ROLE team_%s', i);"
            f" END LOOP; FOR i IN 0..{logins - 1} LOOP"
            " EXECUTE format('CREATE ROLE person_%s LOGIN', i); END LOOP; END $$"
        )
        # one statement a group, with all of its members
        connection.execute(
            "DO $$ DECLARE r record; BEGIN FOR r IN"
            " SELECT parent, string_agg(member, ', ') AS members FROM ("
            f"  SELECT 'team_' || i % {groups} AS parent, 'person_' || i AS member"
            f"   FROM generate_series(0, {logins - 1}) AS i"
            f"  UNION SELECT 'team_' || (i / 7 + 3) % {groups}, 'person_' || i"
            f"   FROM generate_series(0, {logins - 1}) AS i"
            f"  UNION SELECT 'team_' || (i * 13 + 5) % {groups}, 'person_' || i"
            f"   FROM generate_series(0, {logins - 1}, 2) AS i"
            "  UNION SELECT 'team_' || i % 10, 'team_' || i"
            f"   FROM generate_series(10, {groups - 1}) AS i"
            " ) AS m GROUP BY parent LOOP"
            " EXECUTE format('GRANT %s TO %s', r.parent, r.members); END LOOP; END $$"
        )
        for number, name in enumerate(ROLE_DATABASES):
            connection.execute(f"CREATE DATABASE {name}")
            # each login may enter its own database; every second one its neighbour's as well
            grantees = [
                f"person_{i}"
                for i in range(logins)
                if i % 4 == number or (i % 2 and (i + 1) % 4 == number)
            ] + [f"team_{i}" for i in range(groups) if i % 4 == number]
            for part in _parts(grantees, 1000):
                connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {', '.join(part)}")
    for number, name in enumerate(ROLE_DATABASES):
        with _superuser(server, name) as connection:
            connection.execute(
                f"DO $$ BEGIN FOR i IN 0..{TABLES_A_DATABASE - 1} LOOP"
                " EXECUTE format('CREATE TABLE t_%s (id int, note text)', i); END LOOP; END $$"
            )
            members: dict[tuple[str, int], list[str]] = {}
            for i in range(number, logins, 4):
                table = i // 4 % TABLES_A_DATABASE
                members.setdefault(("SELECT", table), []).append(f"person_{i}")
                if i % 3:
                    other = (table * 7 + 11) % TABLES_A_DATABASE
                    members.setdefault(("INSERT, UPDATE", other), []).append(f"person_{i}")
            for (privileges, table), grantees in members.items():
                connection.execute(
                    sql.SQL(f"GRANT {privileges} ON t_{table} TO {', '.join(grantees)}")
                )


def change_one_percent(server: EmbeddedPostgres, count: int, turn: int) -> int:
    """Change one role in a hundred, by an attribute or by a grant; return how many."""
    logins = count - max(count // 10, 1)
    touched = max(count // 100, 1)
    step = logins // touched
    with _superuser(server) as connection:
        for i in range(0, touched, 2):
            connection.execute(f"ALTER ROLE person_{i * step} CONNECTION LIMIT {turn + 5}")
    with _superuser(server, ROLE_DATABASES[turn % 4]) as connection:
        people = [f"person_{i * step}" for i in range(1, touched, 2)]
        if people:
            connection.execute(f"GRANT DELETE ON t_{turn} TO {', '.join(people)}")
    return touched


def relations(server: EmbeddedPostgres, count: int) -> None:
    """Make so many tables, views and sequences with ACLs, in 4 databases of 256 schemas each.

    Every schema and every relation has an ACL of its own, for two or three of 64 groups.
    """
    a_schema = max(count // (len(RELATION_DATABASES) * 256), 1)
    with _superuser(server) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR i IN 0..{GROUPS - 1} LOOP"
            " EXECUTE format('CREATE ROLE squad_%s', i); END LOOP; END $$"
        )
        connection.execute(f"CREATE DATABASE {RELATION_DATABASES[0]}")
    with psycopg.connect(
        server.conninfo, dbname=RELATION_DATABASES[0], autocommit=True
    ) as connection:
        for schema in range(256):
            squads = [f"squad_{(schema * 5 + n) % GROUPS}" for n in range(3)]
            connection.execute(f"CREATE SCHEMA s_{schema}")
            connection.execute(f"GRANT USAGE ON SCHEMA s_{schema} TO {', '.join(squads)}")
            statements = []
            for n in range(a_schema):
                name = f"s_{schema}.r_{n}"
                what = f"CREATE TABLE {name} (id int, note text)"
                if n % 8 == 6:
                    what = f"CREATE VIEW {name} AS SELECT {schema} AS id"
                elif n % 8 == 7:
                    what = f"CREATE SEQUENCE {name}"
                statements += [
                    what,
                    f"GRANT SELECT ON {name} TO {squads[0]}, {squads[n % 2 + 1]}",
                    f"GRANT UPDATE ON {name} TO squad_{(schema + n) % GROUPS}",
                ]
            connection.execute(sql.SQL("; ".join(statements)))
    with _superuser(server) as connection:
        for name in RELATION_DATABASES[1:]:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {RELATION_DATABASES[0]}")


def small(server: EmbeddedPostgres, count: int = 50) -> None:
    """Make a small server: so many roles with a few grants each, and one database."""
    with _superuser(server) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR i IN 0..{count - 1} LOOP"
            " EXECUTE format('CREATE ROLE person_%s LOGIN', i);"
            " IF i > 5 THEN EXECUTE format('GRANT person_%s TO person_%s', i % 5, i); END IF;"
            " END LOOP; END $$"
        )
        connection.execute("CREATE DATABASE app")
    with _superuser(server, "app") as connection:
        connection.execute(
            "DO $$ BEGIN FOR i IN 0..19 LOOP"
            " EXECUTE format('CREATE TABLE t_%s (id int)', i);"
            f" FOR j IN 0..{count - 1} LOOP IF j % 20 = i THEN"
            " EXECUTE format('GRANT SELECT ON t_%s TO person_%s', i, j); END IF; END LOOP;"
            " END LOOP; END $$"
        )


def _superuser(server: EmbeddedPostgres, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(server.conninfo, dbname=database, autocommit=True)


def _parts(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


def databases(server: EmbeddedPostgres, count: int) -> None:
    """Make so many databases, as they come."""
    with _superuser(server) as connection:
        for number in range(count):
            connection.execute(f"CREATE DATABASE tenant_{number}")


def tables(server: EmbeddedPostgres, schemas: int, count: int) -> None:
    """Make so many tables with a primary key and some rows, in so many schemas of one database."""
    with _superuser(server) as connection:
        for schema in range(schemas):
            first, following = schema * count // schemas, (schema + 1) * count // schemas
            connection.execute(
                f"DO $$ BEGIN CREATE SCHEMA app_{schema}; FOR i IN {first}..{following - 1} LOOP"
                f" EXECUTE format('CREATE TABLE app_{schema}.t_%s (id int PRIMARY KEY, note text)',"
                f" i); EXECUTE format('INSERT INTO app_{schema}.t_%s SELECT n, repeat(''x'', 50)"
                " FROM generate_series(1, %s) AS n', i, i % 200); END LOOP; END $$"
            )
