"""One process of WhaleFall to be killed: python -m tests.faults.process ROLE STORE_URL DATA_DIR.

Its only task takes a moment for each instance, and writes one row a completed item in the
transaction that ends the item.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger
from flask import Flask
from sqlalchemy import select, text

from app import create_app
from app.config import Settings
from app.constants.runs import State
from app.models import Instance, db
from app.scheduler import run_scheduler
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service
from app.worker import Registry, run_all, run_worker

ITEM_SECONDS = 1.0


def work(item: ItemContext) -> None:
    time.sleep(ITEM_SECONDS)
    db.session.execute(
        text("INSERT INTO effects (item_id, attempt) VALUES (:item_id, :attempt)"),
        {"item_id": item.item_id, "attempt": item.attempt},
    )
    task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))
    db.session.commit()


def spread() -> dict[str, Any]:
    instance_ids = db.session.scalars(select(Instance.id)).all()
    db.session.rollback()
    return task_runs_service.fan_out("spread", instance_ids, work)


def tick() -> dict[str, Any]:
    return {"success_count": 1, "failed_count": 0}


def register(scheduler: BaseScheduler, app: Flask) -> None:  # noqa: ARG001 - as register_jobs
    scheduler.add_job(func=tick, trigger=CronTrigger(second="*"), id="tick_often", name="tick")


REGISTRY = Registry(tasks={"spread": spread, "tick": tick}, item_work={"spread": work})


def main(role: str, store_url: str, data_dir: str) -> None:
    app = create_app(Settings(database_url=store_url, data_dir=Path(data_dir)))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if role == "worker":
        run_worker(app, stop, REGISTRY)
    elif role == "scheduler":
        run_scheduler(app, stop, register)
    else:
        run_all(app, stop, REGISTRY, register)


if __name__ == "__main__":
    main(*sys.argv[1:])
