from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from app import create_app
from app.config import Settings
from app.constants.runs import ENDED, State, Trigger
from app.models import db
from app.services.store import store_service
from app.services.task_runs.items import ItemContext, ItemOutcome
from app.services.task_runs.task_runs_service import task_runs_service
from app.utils.postgres_binaries import embedded_postgres
from app.worker import Registry, run_all
from tests.faults.process import register, tick
from tests.faults.test_kill import a_run_over, ask, until


def test_a_restart_of_the_store_in_the_middle_of_a_run_ends_neither_the_run_nor_the_process(
    public_tmp: Path, tmp_path: Path
) -> None:
    """A restart by the operator: every session ends, and for a while nobody answers."""
    server = embedded_postgres(public_tmp / "restarted", durable=False)
    server.start()
    try:
        store_service.upgrade(server.url)
        application = create_app(Settings(database_url=server.url, data_dir=tmp_path / "data"))

        def work(item: ItemContext) -> None:
            time.sleep(1)
            task_runs_service.close_item(db.session, item, ItemOutcome(State.SUCCEEDED))
            db.session.commit()

        def spread() -> dict[str, Any]:
            ids = [row.id for row in ask("SELECT id FROM instances")]
            return task_runs_service.fan_out("spread", ids, work)

        registry = Registry(tasks={"spread": spread, "tick": tick}, item_work={"spread": work})
        stop = threading.Event()
        thread = threading.Thread(target=run_all, args=(application, stop, registry, register))
        with application.app_context():
            run_id = a_run_over(40)
            thread.start()
            try:
                until(lambda: task_runs_service.get_run(run_id).succeeded_count >= 3)
                db.session.close()
                server.stop()
                time.sleep(1)
                server.start()
                restarted = time.monotonic()
                until(lambda: task_runs_service.get_run(run_id).state in ENDED, seconds=60)
                db.session.rollback()
                print(f"\nrun ended {time.monotonic() - restarted:.1f} s after the store was back")
                run = task_runs_service.get_run(run_id)
                assert (run.state, run.succeeded_count) == (State.SUCCEEDED, 40)
                fires = "SELECT count(*) FROM job_fires"
                before = ask(fires)[0][0]
                until(lambda: ask(fires)[0][0] > before)
                again = task_runs_service.request("spread", trigger=Trigger.CLI)
                until(lambda: task_runs_service.get_run(again.run_id).state in ENDED, seconds=60)
                db.session.rollback()
            finally:
                stop.set()
                thread.join(40)
                db.session.close()
                db.engine.dispose()
            assert not thread.is_alive()
    finally:
        server.stop()
