"""Jobs of the queue, written in the transaction of whoever asks for the work.

Procrastinate owns the tables. A job is only a pointer: ``run_task(run_id)`` or
``run_item(item_id)``; the truth about a run and its items is in our own tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.sync_psycopg_connector import SyncPsycopgConnector
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.orm import Session

from app.models import db
from app.utils.sql_files import load_sql

RUNS_QUEUE = "runs"
ITEMS_QUEUE = "items"
RUN_TASK = "run_task"
RUN_ITEM = "run_item"
ENDED_WELL = ("succeeded", "cancelled", "aborted")
FAILED = ("failed",)
"""How a job of the queue may have ended."""
SWEEP_KEY = 0x5748_414C_0002
"""Advisory lock: "WHAL", 2."""

# Never opened: it only lends its statements to the connection of the caller's transaction.
_jobs = JobManager(SyncPsycopgConnector())


def conninfo(session_options: str) -> str:
    """Return where the store is, as libpq writes it, for a connection with options of its own."""
    base = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    given = conninfo_to_dict(base).get("options")
    return make_conninfo(base, options=f"{given} {session_options}" if given else session_options)


def defer_run(session: Session, run_id: int, attempts: int = 0) -> int:
    """Queue the execution of a run; return the job's id.

    ``attempts`` is how often it was begun before.
    """
    arguments = {"run_id": run_id} | ({"attempts": attempts} if attempts else {})
    return _defer(session, [_job(RUNS_QUEUE, RUN_TASK, arguments, lock=f"run:{run_id}")])[0]


def defer_items(
    session: Session, items: Sequence[tuple[int, int]], queue: str = ITEMS_QUEUE
) -> list[int]:
    """Queue (item id, instance id) pairs, in one statement; return the jobs' ids in the same order.

    The lock lets no two jobs touch one instance at once, whatever task they are for.
    """
    return _defer(
        session,
        [
            _job(queue, RUN_ITEM, {"item_id": item_id}, lock=f"instance:{instance_id}")
            for item_id, instance_id in items
        ],
    )


def cancel_waiting(session: Session, job_ids: Sequence[int]) -> None:
    """Take jobs out of the queue that nobody has begun."""
    _execute(
        session,
        "DELETE FROM procrastinate_jobs WHERE id = ANY(%(ids)s) AND status = 'todo'",
        {"ids": list(job_ids)},
    )


def sweep_lock(session: Session) -> bool:
    """Return whether this transaction is the only one that sweeps.

    It loses its session, and the lock, if its process freezes.
    """
    _execute(session, "SET LOCAL idle_in_transaction_session_timeout = '5s'", {})
    return bool(_scalar(session, "SELECT pg_try_advisory_xact_lock(%(key)s)", {"key": SWEEP_KEY}))


def stalled(session: Session, stalled_after_seconds: float) -> list[Any]:
    """Return (job_id, task_name, target_id, attempts) of jobs whose worker seems dead."""
    return _rows(session, "stalled_jobs.sql", {"seconds": stalled_after_seconds})


def drop(session: Session, job_id: int) -> None:
    """Delete a job for good, so that a worker that thaws later has nothing left to finish."""
    _execute(session, "DELETE FROM procrastinate_jobs WHERE id = %(id)s", {"id": job_id})


def forget_workers(session: Session, dead_workers_seconds: float) -> None:
    """Delete workers that have been silent for long."""
    _execute(
        session,
        load_sql("app.repositories.sql", "forget_dead_workers.sql"),
        {"seconds": dead_workers_seconds},
    )


def forget_jobs(
    session: Session, statuses: Sequence[str], *, ended_seconds: float, limit: int
) -> int:
    """Delete some jobs that ended so, so long ago, for the queue's tables stay small; how many."""
    return _execute(
        session,
        load_sql("app.repositories.sql", "forget_ended_jobs.sql"),
        {"statuses": list(statuses), "seconds": ended_seconds, "limit": limit},
    )


def adopt_orphans(session: Session, stalled_after_seconds: float) -> int:
    """Hand jobs over to the workers whose private queue has lost its process; return how many."""
    return _execute(
        session,
        load_sql("app.repositories.sql", "adopt_orphaned_jobs.sql"),
        {"items_queue": ITEMS_QUEUE, "seconds": stalled_after_seconds},
    )


def register_worker(session: Session) -> int:
    """Introduce this process to the queue; its heartbeat starts now."""
    return int(_scalar(session, "SELECT worker_id FROM procrastinate_register_worker_v1()", {}))


def unregister_worker(session: Session, worker_id: int) -> None:
    """Say good-bye."""
    _execute(session, "SELECT procrastinate_unregister_worker_v1(%(id)s)", {"id": worker_id})


def beat(session: Session, worker_id: int) -> None:
    """Give a sign of life."""
    _execute(session, "SELECT procrastinate_update_heartbeat_v1(%(id)s)", {"id": worker_id})


def fetch(session: Session, queue: str, worker_id: int) -> tuple[int, dict[str, Any]] | None:
    """Take the next job of a queue whose lock is free: (job id, arguments), or None."""
    row = (
        session.connection()
        .exec_driver_sql(
            "SELECT id, args"
            " FROM procrastinate_fetch_job_v2(ARRAY[%(queue)s]::varchar[], %(worker)s)",
            {"queue": queue, "worker": worker_id},
        )
        .one()
    )
    return None if row.id is None else (row.id, row.args)


def waiting(session: Session, queue: str) -> bool:
    """Return whether a queue holds a job that has not ended."""
    return bool(
        _scalar(
            session,
            "SELECT EXISTS (SELECT FROM procrastinate_jobs"
            " WHERE queue_name = %(queue)s AND status IN ('todo', 'doing'))",
            {"queue": queue},
        )
    )


def _job(queue: str, task: str, arguments: dict[str, Any], *, lock: str | None) -> Job:
    return Job(queue=queue, task_name=task, task_kwargs=arguments, lock=lock, queueing_lock=None)


def _defer(session: Session, jobs: list[Job]) -> list[int]:
    connection = session.connection().connection.driver_connection
    return [job.id or 0 for job in _jobs.batch_defer_jobs(jobs, connection=connection)]


def _rows(session: Session, file: str, parameters: dict[str, Any]) -> list[Any]:
    sql = load_sql("app.repositories.sql", file)
    return list(session.connection().exec_driver_sql(sql, parameters).all())


def _scalar(session: Session, sql: str, parameters: dict[str, Any]) -> Any:
    return session.connection().exec_driver_sql(sql, parameters).scalar()


def _execute(session: Session, sql: str, parameters: dict[str, Any]) -> int:
    return session.connection().exec_driver_sql(sql, parameters).rowcount
