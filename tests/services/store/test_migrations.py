from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.pool import NullPool

from app.constants.partitions import POLICIES
from app.models import Model, ScopeObservation, db
from app.repositories import partitions, store_versions
from app.services.store import store_service
from app.services.store.store_service import StoreError, require_current, upgrade
from migrations.scope import is_ours


def test_a_fresh_store_is_exactly_what_the_models_say(store_url: str) -> None:
    engine = create_engine(store_url, poolclass=NullPool)
    with engine.connect() as connection:
        options = {"include_object": is_ours, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Model.metadata) == []


def test_a_second_upgrade_changes_nothing(store_url: str) -> None:
    assert upgrade(store_url) == []
    require_current(store_url)


def test_two_upgrades_at_once_make_one_store(empty_store_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        steps = sorted(len(steps) for steps in pool.map(upgrade, [empty_store_url] * 4))
    assert steps == [0, 0, 0, 2]
    require_current(empty_store_url)


def test_an_empty_store_is_refused_with_the_command_that_fills_it(empty_store_url: str) -> None:
    with pytest.raises(StoreError, match="whalefall db upgrade"):
        require_current(empty_store_url)


def test_a_store_of_a_newer_version_is_refused(store_url: str) -> None:
    engine = create_engine(store_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer WhaleFall"):
        upgrade(store_url)
    with pytest.raises(StoreError, match="newer WhaleFall"):
        require_current(store_url)


def test_a_queue_of_a_newer_version_is_refused(store_url: str) -> None:
    engine = create_engine(store_url, poolclass=NullPool)
    with engine.begin() as connection:
        store_versions.record_queue_migration(connection, "99.00.00_01_later.sql")
    with pytest.raises(StoreError, match="newer procrastinate"):
        upgrade(store_url)


def test_months_have_partitions_and_rows_of_other_months_are_moved_out_of_the_default(
    app: Flask,
) -> None:
    with app.app_context():
        connection = db.session.connection()
        now = store_versions.now(connection)
        far = datetime(2031, 12, 31, 23, 59, tzinfo=UTC)
        for moment in (now, far, far + timedelta(minutes=2)):
            db.session.add(_observation(moment))
        db.session.flush()
        held = "SELECT tableoid::regclass::text FROM scope_observations ORDER BY observed_at"
        default = "scope_observations_default"
        assert db.session.scalars(text(held)).all() == [
            partitions.partition_name("scope_observations", now),
            default,
            default,
        ]
        for _ in range(3):
            partitions.ensure_partition(connection, "scope_observations", far)
        assert db.session.scalars(text(held)).all()[1:] == ["scope_observations_2031_12", default]
        assert db.session.scalar(select(func.count(ScopeObservation.id))) == 3
        db.session.commit()


def _observation(moment: datetime) -> ScopeObservation:
    return ScopeObservation(
        observed_at=moment,
        run_item_id=1,
        instance_id=1,
        scope="server",
        status="full",
        duration_ms=1,
    )


def test_the_partitions_ahead_are_there_from_the_start(store_url: str) -> None:
    engine = create_engine(store_url, poolclass=NullPool)
    with engine.connect() as connection:
        moment = store_versions.now(connection)
        for policy in POLICIES.values():
            wanted = moment
            for _ in range(policy.ahead + 1):
                name = partitions.partition_name(policy.table, wanted)
                assert connection.scalar(text("SELECT to_regclass(:n) IS NOT NULL"), {"n": name})
                wanted = partitions.bounds_of(policy.step, wanted)[1]


def test_the_queue_is_upgraded_by_the_migrations_that_it_lacks(store_url: str) -> None:
    names = [migration.name for migration in store_service._queue_migrations()]
    engine = create_engine(store_url, poolclass=NullPool)
    with engine.begin() as connection:
        assert store_versions.queue_migration(connection) == names[-1]
        connection.execute(text("DROP FUNCTION IF EXISTS procrastinate_retry_job_v2"))
        store_versions.record_queue_migration(connection, names[-2])
    assert upgrade(store_url) == [f"queue {names[-1].removesuffix('.sql')}"]
    require_current(store_url)
