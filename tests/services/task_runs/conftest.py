"""Instances to work on, and a worker that the test starts and stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from flask import Flask
from sqlalchemy import insert

from app.constants.engines import Engine
from app.models import Credential, Instance, db
from app.worker import Registry, run_worker

Instances = Callable[[int], list[int]]
Working = Callable[[Registry], AbstractContextManager[threading.Event]]


@pytest.fixture
def instances(app: Flask) -> Instances:  # noqa: ARG001 - its context
    def add(count: int) -> list[int]:
        credential = Credential(name="nobody", username="nobody", secret=b"")
        db.session.add(credential)
        db.session.flush()
        ids = db.session.scalars(
            insert(Instance).returning(Instance.id),
            [
                {
                    "name": f"server-{number:04}",
                    "engine": Engine.POSTGRESQL,
                    "host": "127.0.0.1",
                    "port": 1,
                    "credential_id": credential.id,
                }
                for number in range(count)
            ],
        ).all()
        db.session.commit()
        return sorted(ids)

    return add


@pytest.fixture
def working(app: Flask) -> Working:
    @contextmanager
    def work(registry: Registry) -> Iterator[threading.Event]:
        stop = threading.Event()
        thread = threading.Thread(target=run_worker, args=(app, stop, registry))
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    return work


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
