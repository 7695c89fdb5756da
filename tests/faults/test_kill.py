"""Whatever is killed in the middle of a run: it ends by itself, nothing is lost or done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from sqlalchemy import insert, text

from app.constants.engines import Engine
from app.constants.runs import ENDED, State, Trigger
from app.models import Credential, Instance, db
from app.services.task_runs.task_runs_service import task_runs_service

ROOT = Path(__file__).resolve().parents[2]


class Process(NamedTuple):
    popen: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


Start = Callable[[str], Process]


@pytest.fixture
def start(app: Flask, store_url: str, tmp_path: Path) -> Iterator[Start]:  # noqa: ARG001 - its keys
    processes: list[Process] = []

    def begin(role: str) -> Process:
        path = tmp_path / f"{role}-{len(processes)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.process", role, store_url, tmp_path / "data"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        processes.append(Process(process, path))
        return processes[-1]

    db.session.execute(text("CREATE TABLE effects (item_id bigint, attempt int)"))
    db.session.commit()
    yield begin
    for process in processes:
        process.kill()


def a_run_over(count: int) -> int:
    credential = Credential(name="nobody", username="nobody", secret=b"")
    db.session.add(credential)
    db.session.flush()
    db.session.execute(
        insert(Instance),
        [
            {
                "name": f"server-{number:03}",
                "engine": Engine.POSTGRESQL,
                "host": "127.0.0.1",
                "port": 1,
                "credential_id": credential.id,
            }
            for number in range(count)
        ],
    )
    db.session.commit()
    return task_runs_service.request("spread", trigger=Trigger.CLI).run_id


def until(condition: Callable[[], bool], seconds: float = 45.0) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - started


def ask(statement: str) -> list[Any]:
    rows = list(db.session.execute(text(statement)).all())
    db.session.rollback()
    return rows


def running_items() -> int:
    return int(ask("SELECT count(*) FROM task_run_items WHERE state = 'running'")[0][0])


def assert_done_once(run_id: int, count: int) -> None:
    run = task_runs_service.get_run(run_id)
    assert (run.state, run.succeeded_count, run.item_count) == (State.SUCCEEDED, count, count)
    assert ask("SELECT count(*), count(DISTINCT item_id) FROM effects") == [(count, count)]


def test_a_killed_worker_s_run_is_finished_by_the_next_one(start: Start) -> None:
    run_id = a_run_over(30)
    worker = start("worker")
    until(lambda: running_items() >= 8)
    time.sleep(0.3)
    worker.kill()
    killed = time.monotonic()
    left = running_items()
    assert left > 0
    start("worker")
    until(lambda: task_runs_service.get_run(run_id).state in ENDED)
    print(f"\n{left} items in work at kill -9; run ended {time.monotonic() - killed:.1f} s later")
    assert_done_once(run_id, 30)


def test_a_killed_single_process_goes_on_where_it_was(start: Start) -> None:
    run_id = a_run_over(30)
    process = start("all")
    until(lambda: running_items() >= 8)
    process.kill()
    killed = time.monotonic()
    start("all")
    until(lambda: task_runs_service.get_run(run_id).state in ENDED)
    print(f"\nrun ended {time.monotonic() - killed:.1f} s after kill -9 of the single process")
    assert_done_once(run_id, 30)
    until(
        lambda: (
            ask("SELECT count(*) FROM task_runs WHERE state IN ('queued', 'running')")[0][0] <= 1
        )
    )


def test_a_killed_clock_is_replaced_and_disturbs_no_run(start: Start) -> None:
    run_id = a_run_over(30)
    clocks = [start("scheduler"), start("scheduler")]
    until(lambda: ask("SELECT count(*) FROM job_fires")[0][0] >= 2)
    start("worker")
    until(lambda: running_items() >= 8)
    (leader,) = (
        clock for clock in clocks if b"This process is the clock" in clock.log.read_bytes()
    )
    leader.kill()
    killed_at = ask("SELECT clock_timestamp()")[0][0]
    later = (
        f"SELECT recorded_at FROM job_fires WHERE recorded_at > '{killed_at}' ORDER BY 1 LIMIT 1"
    )
    until(lambda: len(ask(later)) == 1)
    print(f"\ntakeover {(ask(later)[0][0] - killed_at).total_seconds():.1f} s after kill -9")
    until(lambda: task_runs_service.get_run(run_id).state in ENDED)
    assert_done_once(run_id, 30)
    start("scheduler")
    moments = ask("SELECT scheduled_at FROM job_fires ORDER BY 1")
    assert len(moments) == len(set(moments))


def test_a_frozen_worker_that_thaws_writes_nothing_twice(start: Start) -> None:
    run_id = a_run_over(30)
    frozen = start("worker")
    until(lambda: running_items() >= 8)
    frozen.popen.send_signal(signal.SIGSTOP)
    start("worker")
    again = "SELECT count(*) FROM task_run_items WHERE attempt > 1 AND state = 'running'"
    seconds = until(lambda: ask(again)[0][0] > 0)
    frozen.popen.send_signal(signal.SIGCONT)
    until(lambda: task_runs_service.get_run(run_id).state in ENDED)
    print(f"\nitems of a frozen worker were begun again after {seconds:.1f} s")
    time.sleep(2)
    assert_done_once(run_id, 30)
    assert ask("SELECT count(*) FROM effects WHERE attempt > 1")[0][0] > 0
    assert frozen.popen.poll() is None
    second = task_runs_service.request("spread", trigger=Trigger.CLI).run_id
    until(lambda: task_runs_service.get_run(second).state in ENDED)
    assert task_runs_service.get_run(second).state == State.SUCCEEDED
