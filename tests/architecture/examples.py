"""A good task file, a good schedule, and for every rule files that break it."""

from __future__ import annotations

from tests.architecture.source import Source

TEMPLATE = '''"""账户同步任务."""

from __future__ import annotations

from flask import current_app

from app.services.accounts_sync.accounts_sync_service import accounts_sync_service
from app.utils.structlog_config import get_system_logger

logger = get_system_logger()


def sync_accounts(instance_ids: list[int] | None = None) -> dict:
    """执行账户同步任务.

    Args:
        instance_ids: 要同步的实例 ID 列表，None 表示全部.

    Returns:
        任务执行结果.

    """
    # 确保在应用上下文中运行
    with current_app.app_context():
        logger.info(
            "开始账户同步任务",
            module="tasks",
            task="sync_accounts",
            instance_count=len(instance_ids) if instance_ids else "all",
        )

        try:
            result = accounts_sync_service.sync_batch(instance_ids)

            logger.info(
                "账户同步任务完成",
                module="tasks",
                task="sync_accounts",
                success_count=result.get("success_count", 0),
                failed_count=result.get("failed_count", 0),
            )

            return result

        except Exception as exc:
            logger.exception(
                "账户同步任务失败",
                module="tasks",
                task="sync_accounts",
                error=str(exc),
            )
            raise
'''
SCHEDULE = '''"""The schedule."""

from apscheduler.triggers.cron import CronTrigger

from app.tasks.accounts_sync_tasks import sync_accounts


def register_jobs(scheduler, app):
    """注册定时任务."""

    # 账户同步 - 每天凌晨 2 点
    scheduler.add_job(
        func=sync_accounts,
        trigger=CronTrigger(hour=2, minute=0),
        id="sync_accounts_daily",
        name="每日账户同步",
        replace_existing=True,
    )
'''
PATH = "app/tasks/accounts_sync_tasks.py"
GOOD_TASK = Source(PATH, TEMPLATE)
GOOD_SCHEDULER = Source("app/scheduler.py", SCHEDULE)


def _task(old: str, new: str, path: str = PATH) -> Source:
    assert old in TEMPLATE, old
    return Source(path, TEMPLATE.replace(old, new))


def _schedule(old: str, new: str) -> Source:
    assert old in SCHEDULE, old
    return Source("app/scheduler.py", SCHEDULE.replace(old, new))


def _importing(line: str) -> Source:
    return _task("from flask import current_app\n", f"from flask import current_app\n{line}\n")


def _with_line(line: str) -> Source:
    return _task("            result = acc", f"            {line}\n            result = acc")


SERVICE = "accounts_sync_service.sync_batch(instance_ids)"
CONTEXT = "with current_app.app_context():"
START = """            task="sync_accounts",
            instance_count"""
COUNT = 'instance_count=len(instance_ids) if instance_ids else "all"'
DONE = """                task="sync_accounts",
                success_count"""
FAILED = """                task="sync_accounts",
                error"""

BAD_TASKS = [
    ("folder", Source("app/services/accounts_sync_tasks.py", TEMPLATE)),
    ("folder", Source("app/tasks/deeper/accounts_sync_tasks.py", TEMPLATE)),
    ("file-name", Source("app/tasks/accounts_sync.py", TEMPLATE)),
    ("file-name", Source("app/tasks/AccountsSync_tasks.py", TEMPLATE)),
    ("file-name", Source("app/tasks/_tasks.py", TEMPLATE)),
    ("module-docstring", _task('"""账户同步任务."""\n', "")),
    ("future-annotations", _task("from __future__ import annotations\n", "")),
    ("function-name", _task("def sync_accounts(", "def sync(")),
    ("function-name", _task("def sync_accounts(", "def syncAccounts(")),
    ("function-name", _task("def sync_accounts(", "def sync_accounts_task(")),
    ("function-name", _task("def sync_accounts(", "def collect_capacity(")),
    ("function-docstring", _task('"""执行账户同步任务.', '_ = """执行账户同步任务.')),
    ("returns-dict", _task(" -> dict:", ":")),
    ("returns-dict", _task(" -> dict:", " -> list:")),
    ("only-tasks", Source(PATH, TEMPLATE + "\n\nclass Sync:\n    pass\n")),
    ("only-tasks", Source(PATH, TEMPLATE.replace("def sync_accounts", "async def sync_accounts"))),
    ("only-tasks", Source(PATH, '"""Nothing."""\n')),
    ("no-logic", _with_line("if instance_ids: instance_ids.sort()")),
    ("no-logic", _with_line("instance_ids = [one for one in instance_ids]")),
    ("no-logic", _with_line("while not instance_ids: break")),
    ("allowed-imports", _importing("import requests")),
    ("allowed-imports", _importing("from app.config import current_settings")),
    ("allowed-imports", _importing("from app import create_app")),
    ("allowed-imports", _importing("from . import log_cleanup_tasks")),
    ("only-current-app", _importing("from flask import request")),
    ("only-current-app", _importing("import flask")),
    ("no-models", _importing("from app.models import Account")),
    ("no-models", _importing("from app import models")),
    ("no-models", _with_line("import app.models.account")),
    ("no-repositories", _importing("from app.repositories.accounts import list_enabled")),
    ("no-repositories", _importing("from app import repositories")),
    ("no-routes", _importing("from app.routes.accounts import page")),
    ("no-routes", _importing("from app import routes")),
    ("no-api", _importing("from app.api.accounts import read")),
    ("no-api", _importing("import app.api")),
    ("no-sqlalchemy", _importing("from sqlalchemy import select")),
    ("no-sqlalchemy", _with_line("import sqlalchemy.orm")),
    ("file-size", Source(PATH, TEMPLATE + "\n" * 100)),
    ("function-size", _with_line("\n" * 20)),
    ("app-context", _task(CONTEXT, "with open(__file__):")),
    ("app-context", _task(CONTEXT, "if current_app:")),
    ("app-context", _task(f"    {CONTEXT}", f"    accounts_sync_service\n    {CONTEXT}")),
    ("one-service-call", _task(SERVICE, "{}")),
    ("one-service-call", _with_line(SERVICE)),
    (
        "service-singleton",
        _task("accounts_sync_service import accounts_sync_service", "reading import read_server"),
    ),
    ("service-singleton", _importing("from app.services import accounts_sync")),
    ("service-singleton", _importing("from app.services.a.a_service import AService")),
    ("returns-result", _task("return result", "return {}")),
    ("returns-result", _task("            return result\n", "")),
    ("system-logger", _task("logger = get_system_logger()", "logger = None")),
    ("system-logger", _task("app.utils.structlog_config import get", "logging import get")),
    ("start-event", _task('"开始账户同步任务"', '"begin"')),
    ("start-event", _task(START, START.replace("sync_accounts", "other"))),
    ("start-event", _task(COUNT, "instance_count=0")),
    ("start-event", _task(COUNT, "instances=0")),
    ("start-event", _task('info(\n            "开始', 'debug(\n            "开始')),
    ("start-event", _task('module="tasks",\n            task', "task")),
    ("done-event", _task('"账户同步任务完成"', '"done"')),
    ("done-event", _task(DONE, DONE.replace("sync_accounts", "other"))),
    ("done-event", _task('success_count=result.get("success_count", 0)', "success_count=1")),
    ("done-event", _task('failed_count=result.get("failed_count", 0),', "")),
    ("done-event", _task('info(\n                "账户', 'debug(\n                "账户')),
    ("failed-event", _task('"账户同步任务失败"', '"failed"')),
    ("failed-event", _task(FAILED, FAILED.replace("sync_accounts", "other"))),
    ("failed-event", _task("error=str(exc)", "error=repr(exc)")),
    ("failed-event", _task("logger.exception", "logger.warning")),
    ("raises-again", _task("            raise\n", "            return {}\n")),
    ("raises-again", _task("except Exception as exc:", "except ValueError as exc:")),
]
BAD_SCHEDULERS = [
    ("register-jobs", _schedule("register_jobs(scheduler, app)", "register(scheduler, app)")),
    ("register-jobs", _schedule("register_jobs(scheduler, app)", "register_jobs(scheduler)")),
    ("only-registrations", _schedule("    # 账户同步", "    scheduler.start()\n    # 账户同步")),
    ("job-keywords", _schedule("func=sync_accounts,", "func=sync_accounts, jitter=1,")),
    ("job-keywords", _schedule("func=sync_accounts", "sync_accounts")),
    ("job-func", _schedule("func=sync_accounts", 'func="app.tasks.x:sync_accounts"')),
    ("job-func", _schedule("func=sync_accounts", "func=lambda: sync_accounts()")),
    ("job-func", _schedule("from app.tasks.accounts_sync_tasks", "from app.worker")),
    ("job-trigger", _schedule("CronTrigger(hour=2, minute=0)", '"cron"')),
    ("job-trigger", _schedule("from apscheduler.triggers.cron", "from elsewhere")),
    ("job-id", _schedule('"sync_accounts_daily"', '"sync_accounts"')),
    ("job-id", _schedule('"sync_accounts_daily"', '"SyncAccounts_daily"')),
    ("job-id", _schedule('"sync_accounts_daily"', '"log_cleanup_daily"')),
    ("job-id", _schedule('"sync_accounts_daily"', "ID")),
    ("job-id-unique", Source("app/scheduler.py", SCHEDULE + SCHEDULE)),
    ("job-name", _schedule('name="每日账户同步"', 'name=""')),
    ("job-name", _schedule('name="每日账户同步",', "")),
    ("job-replace", _schedule("replace_existing=True", "replace_existing=False")),
    ("job-replace", _schedule("replace_existing=True,", "")),
    ("job-every-task", _schedule("func=sync_accounts", "func=other")),
    ("job-every-task", Source("app/scheduler.py", SCHEDULE + SCHEDULE)),
]
BAD_LAYERS = [
    *(
        ("names", Source(path, ""))
        for path in (
            "app/services/accounts/account_manager.py",
            "app/utils/helpers.py",
            "app/services/event_handler/events.py",
            "app/services/sync_coordinator.py",
            "app/services/orchestrator.py",
            "app/utils/task_runner.py",
            "app/services/factories.py",
            "app/utils/common.py",
            "app/utils/misc.py",
            "app/models/base_model.py",
            "app/services/accounts_read_service.py",
            "app/services/accounts_actions_service.py",
        )
    ),
    ("services-no-http", Source("app/services/a.py", "from flask import request\n")),
    ("services-no-http", Source("app/services/a.py", "from flask import jsonify\n")),
    ("services-no-http", Source("app/services/a.py", "import flask\n")),
    ("services-no-http", Source("app/services/a.py", "from werkzeug.exceptions import NotFound\n")),
    ("repositories-no-commit", Source("app/repositories/a.py", "session.commit()\n")),
    ("one-schedule", Source("app/worker.py", "scheduler.add_job(print)\n")),
]
