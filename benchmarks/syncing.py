"""The product under measurement: an application on a fresh store, and one sync at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from app import create_app
from app.config import Settings
from app.constants.runs import State, Trigger
from app.models import TaskRunItem, db
from app.repositories import task_runs
from app.repositories.remote.facts import Target
from app.services.accounts_sync.accounts_sync_service import TASK, accounts_sync_service
from app.services.capacity_collection.capacity_collection_service import TASK as COLLECT
from app.services.capacity_collection.capacity_collection_service import capacity_collection_service
from app.services.credentials.credentials_service import credentials_service
from app.services.instances.instances_service import instances_service
from app.services.task_runs.items import ItemContext, Work


@dataclass(frozen=True)
class Sync:
    """What one sync took, and what it says of itself."""

    seconds: float
    receipt: dict[str, Any]
    coverage: dict[str, Any]


@contextmanager
def application(url: str, data_dir: Path, **settings: Any) -> Iterator[Flask]:
    """Make the application on a store, its context pushed."""
    app = create_app(Settings(database_url=url, data_dir=data_dir, log_level="ERROR", **settings))
    with app.app_context():
        try:
            yield app
        finally:
            db.session.close()
            db.engine.dispose()


def register(name: str, target: Target) -> int:
    """Register a server and return the number of the instance."""
    instance = instances_service.add(
        name=name,
        engine=target.engine,
        host=target.host,
        port=target.port,
        credential="monitor",
        tls_mode=target.tls_mode,
    )
    return instance.id


def add_credential(target: Target) -> None:
    """Store the login of the monitoring account."""
    credentials_service.add("monitor", target.username, target.password)


def begin(instance_id: int, task: str = TASK) -> ItemContext:
    """Make a run over one instance and take its item, as a worker does."""
    run_id = task_runs.insert_if_idle(
        db.session, task=task, trigger=Trigger.MANUAL, requested_by=None, parameters={}
    )
    assert run_id is not None
    task_runs.plan(db.session, run_id, 1)
    ((item_id, _),) = task_runs.add_items(db.session, run_id, [instance_id])
    begun = task_runs.begin_item(db.session, item_id)
    assert begun is not None
    db.session.commit()
    return ItemContext(run_id, item_id, instance_id, begun.attempt, task, db.sessionmaker)


def sync(instance_id: int) -> Sync:
    """Sync one instance, store's writes and all, and return what it took."""
    return _done(begin(instance_id), accounts_sync_service.sync_one)


def collect(instance_id: int) -> Sync:
    """Collect the sizes of one instance, store's writes and all, and return what it took."""
    return _done(begin(instance_id, COLLECT), capacity_collection_service.collect_one)


def _done(item: ItemContext, work: Work) -> Sync:
    started = time.perf_counter()
    work(item)
    seconds = time.perf_counter() - started
    row = db.session.get_one(TaskRunItem, item.item_id)
    if row.state != State.SUCCEEDED:
        raise RuntimeError(f"it ended as {row.state}: {row.error}")
    found = Sync(seconds, dict(row.receipt or {}), dict(row.coverage or {}))
    db.session.rollback()
    return found
