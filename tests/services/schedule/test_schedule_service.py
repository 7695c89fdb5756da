from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app.constants.runs import State, Trigger
from app.models import db
from app.services.schedule.cron import BadCron
from app.services.schedule.schedule_service import ScheduledJob, UnknownJob, schedule_service
from app.services.task_runs.task_runs_service import task_runs_service

DAILY = ScheduledJob("sync_accounts_daily", "sync_accounts", "每日账户同步", "0 2 * * *")
EVERY_MINUTE = ScheduledJob("often", "sync_accounts", "often", "* * * * *")


def fires() -> list[Any]:
    return list(db.session.execute(text("SELECT * FROM job_fires ORDER BY scheduled_at")))


def known_since(job: ScheduledJob, ago: timedelta) -> None:
    schedule_service.announce([job])
    db.session.execute(
        text("UPDATE job_settings SET effective_since = now() - :ago WHERE job_id = :job_id"),
        {"ago": ago, "job_id": job.job_id},
    )
    db.session.commit()


def test_a_job_is_listed_with_what_the_code_says(app: Flask) -> None:  # noqa: ARG001 - its context
    schedule_service.announce([DAILY])
    (job,) = schedule_service.list_jobs()
    assert (job.job_id, job.task, job.name) == (DAILY.job_id, DAILY.task, DAILY.name)
    assert (job.cron, job.overridden, job.paused) == ("0 2 * * *", False, False)
    assert job.next_fire_at is not None
    assert f"{job.next_fire_at:%H:%M %Z}" == "02:00 CST"
    assert job.last_fire_at is None


def test_what_an_operator_changed_survives_a_restart_with_other_code(app: Flask) -> None:  # noqa: ARG001 - its context
    schedule_service.announce([DAILY])
    changed = schedule_service.set_cron(DAILY.job_id, "30  4 * * SUN", by="me")
    assert (changed.cron, changed.overridden, changed.updated_by) == ("30 4 * * sun", True, "me")
    schedule_service.pause(DAILY.job_id, by="me")
    schedule_service.announce([ScheduledJob(DAILY.job_id, DAILY.task, "renamed", "0 3 * * *")])
    (job,) = schedule_service.list_jobs()
    assert (job.name, job.code_cron, job.cron, job.paused) == (
        "renamed",
        "0 3 * * *",
        "30 4 * * sun",
        True,
    )
    assert job.next_fire_at is None
    back = schedule_service.set_cron(DAILY.job_id, None)
    assert (back.cron, back.overridden) == ("0 3 * * *", False)
    assert not schedule_service.resume(DAILY.job_id).paused


def test_a_job_that_the_code_no_longer_has_leaves_the_schedule_with_the_next_clock(
    app: Flask,  # noqa: ARG001 - its context
) -> None:
    schedule_service.announce([DAILY, EVERY_MINUTE])
    schedule_service.announce([DAILY])
    assert len(schedule_service.list_jobs()) == 2
    schedule_service.announce([DAILY], forget_others=True)
    assert [job.job_id for job in schedule_service.list_jobs()] == [DAILY.job_id]


def test_nonsense_is_refused_and_changes_nothing(app: Flask) -> None:  # noqa: ARG001 - its context
    schedule_service.announce([DAILY])
    with pytest.raises(BadCron):
        schedule_service.set_cron(DAILY.job_id, "0 25 * * *")
    with pytest.raises(UnknownJob, match="no job nightly") as refused:
        schedule_service.pause("nightly")
    assert DAILY.job_id in (refused.value.remedy or "")
    assert not schedule_service.list_jobs()[0].overridden


def test_a_fire_is_recorded_once_with_its_run_and_its_job(app: Flask) -> None:  # noqa: ARG001 - its context
    moment = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
    run_id = schedule_service.fire(DAILY.job_id, DAILY.task, moment, Trigger.SCHEDULE)
    assert run_id is not None
    assert schedule_service.fire(DAILY.job_id, DAILY.task, moment, Trigger.SCHEDULE) is None
    (fire,) = fires()
    assert (fire.outcome, fire.run_id) == ("started", run_id)
    run = task_runs_service.get_run(run_id)
    assert (run.trigger, run.requested_by) == (Trigger.SCHEDULE, DAILY.job_id)
    assert db.session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 1


def test_a_fire_while_a_run_is_active_is_recorded_as_skipped(app: Flask) -> None:  # noqa: ARG001 - its context
    active = task_runs_service.request("sync_accounts", trigger=Trigger.CLI).run_id
    moment = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
    assert schedule_service.fire(DAILY.job_id, DAILY.task, moment, Trigger.SCHEDULE) == active
    (fire,) = fires()
    assert (fire.outcome, fire.run_id) == ("skipped", active)
    assert db.session.scalar(text("SELECT count(*) FROM task_runs")) == 1


def test_what_was_missed_is_caught_up_once(app: Flask) -> None:  # noqa: ARG001 - its context
    known_since(EVERY_MINUTE, timedelta(hours=3))
    now = datetime.now(UTC)
    (run_id,) = schedule_service.catch_up(until=now)
    (fire,) = fires()
    assert fire.scheduled_at == now.replace(second=0, microsecond=0)
    assert task_runs_service.get_run(run_id).trigger == Trigger.CATCH_UP
    task_runs_service.cancel(run_id)
    assert schedule_service.catch_up(until=now) == []
    assert len(fires()) == 1


def test_a_fresh_installation_does_not_catch_up_yesterday(app: Flask) -> None:  # noqa: ARG001 - its context
    schedule_service.announce([DAILY, EVERY_MINUTE])
    assert schedule_service.catch_up(until=datetime.now(UTC)) == []


def test_what_was_missed_longer_ago_than_the_grace_time_is_not_caught_up(app: Flask) -> None:  # noqa: ARG001 - its context
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    job = ScheduledJob("monthly", "sync_accounts", "monthly", f"0 0 {long_ago.day} * *")
    known_since(job, timedelta(days=60))
    assert schedule_service.catch_up(until=datetime.now(UTC)) == []


def test_what_was_due_while_a_job_was_paused_is_not_caught_up(app: Flask) -> None:  # noqa: ARG001 - its context
    known_since(EVERY_MINUTE, timedelta(hours=3))
    schedule_service.pause(EVERY_MINUTE.job_id)
    assert schedule_service.catch_up(until=datetime.now(UTC)) == []
    schedule_service.resume(EVERY_MINUTE.job_id)
    assert schedule_service.catch_up(until=datetime.now(UTC) - timedelta(seconds=2)) == []


def test_resuming_a_job_that_is_not_paused_forgets_nothing(app: Flask) -> None:  # noqa: ARG001 - its context
    known_since(EVERY_MINUTE, timedelta(hours=3))
    schedule_service.resume(EVERY_MINUTE.job_id)
    assert len(schedule_service.catch_up(until=datetime.now(UTC))) == 1


def test_a_new_schedule_does_not_reach_into_the_past(app: Flask) -> None:
    known_since(DAILY, timedelta(hours=3))
    zone = app.extensions["whalefall"].zone
    earlier = datetime.now(zone) - timedelta(minutes=30)
    schedule_service.set_cron(DAILY.job_id, f"{earlier.minute} {earlier.hour} * * *")
    assert schedule_service.catch_up(until=datetime.now(UTC)) == []
    assert task_runs_service.list_runs(states=[State.QUEUED]) == []
