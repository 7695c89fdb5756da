"""What the specification says of app/scheduler.py, and of how every task is registered in it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.architecture.source import Rule, Source, is_below, words_of

FREQUENCY = r"(minutely|hourly|daily|weekly|monthly|quarterly|yearly)"
KEYWORDS = {"func", "trigger", "id", "name", "replace_existing"}


def signature(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    found = _register_jobs(scheduler)
    if found is None or [one.arg for one in found.args.args] != ["scheduler", "app"]:
        yield "app/scheduler.py has no register_jobs(scheduler, app)"


def only_registrations(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    found = _register_jobs(scheduler)
    body = found.body[1 if ast.get_docstring(found) else 0 :] if found else []
    for node in body:
        if not (isinstance(node, ast.Expr) and node.value in _jobs(scheduler)):
            yield f"line {node.lineno} of register_jobs is not a registration"


def keywords(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    for job in _jobs(scheduler):
        if job.args or {one.arg for one in job.keywords} != KEYWORDS:
            yield f"the job in line {job.lineno} is not given by {', '.join(sorted(KEYWORDS))}"


def imported_function(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    names = scheduler.bound_to("app.tasks")
    for job in _jobs(scheduler):
        func = _keyword(job, "func")
        if not isinstance(func, ast.Name) or func.id not in names:
            yield f"func in line {job.lineno} is not a function imported from app.tasks"


def cron_trigger(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    imported = ("apscheduler.triggers.cron", "CronTrigger") in set(scheduler.imports())
    for job in _jobs(scheduler):
        trigger = _keyword(job, "trigger")
        called = isinstance(trigger, ast.Call) and ast.unparse(trigger.func) == "CronTrigger"
        if not imported or not called:
            yield f"trigger in line {job.lineno} is not a CronTrigger"


def job_id(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    modules = {
        name: module for module, name in scheduler.imports() if is_below(module, "app.tasks")
    }
    for job in _jobs(scheduler):
        found, func = _keyword(job, "id"), _keyword(job, "func")
        words = found.value if isinstance(found, ast.Constant) else None
        if not isinstance(words, str) or not re.fullmatch(rf"[a-z]+(_[a-z]+)*_{FREQUENCY}", words):
            yield f"id in line {job.lineno} is not {{action}}_{{frequency}}"
            continue
        name = func.id if isinstance(func, ast.Name) else ""
        said = words_of(name) | words_of(modules.get(name, "").rpartition(".")[2])
        if not words_of(words.rpartition("_")[0]) <= said:
            yield f"id {words} does not say what {name} does"


def unique_ids(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    ids = Counter(ast.unparse(found) for job in _jobs(scheduler) if (found := _keyword(job, "id")))
    yield from (f"id {one} is given {times} times" for one, times in ids.items() if times > 1)


def job_name(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    for job in _jobs(scheduler):
        found = _keyword(job, "name")
        if not isinstance(found, ast.Constant) or not found.value:
            yield f"the job in line {job.lineno} has no name for people"


def replace_existing(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    del tasks
    for job in _jobs(scheduler):
        found = _keyword(job, "replace_existing")
        if not isinstance(found, ast.Constant) or found.value is not True:
            yield f"the job in line {job.lineno} lacks replace_existing=True"


def every_task(scheduler: Source, tasks: Sequence[Source]) -> Iterator[str]:
    funcs = [
        found.id for job in _jobs(scheduler) if isinstance(found := _keyword(job, "func"), ast.Name)
    ]
    for source in tasks:
        for task in source.functions:
            if funcs.count(task.name) != 1:
                yield f"{task.name} is registered {funcs.count(task.name)} times, not once"


def _register_jobs(scheduler: Source) -> ast.FunctionDef | None:
    return next((one for one in scheduler.functions if one.name == "register_jobs"), None)


def _jobs(scheduler: Source) -> list[ast.Call]:
    """Return every call of add_job in the file, wherever it stands."""
    return [
        node
        for node in ast.walk(scheduler.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_job"
    ]


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


SCHEDULER_RULES = (
    Rule("register-jobs", "def register_jobs(scheduler, app)", signature),
    Rule("only-registrations", '"""注册定时任务."""', only_registrations),
    Rule("job-keywords", "add_job(func, trigger, id, name, replace_existing)", keywords),
    Rule("job-func", "func=sync_accounts", imported_function),
    Rule("job-trigger", "trigger=CronTrigger(hour=2, minute=0)", cron_trigger),
    Rule("job-id", "Job ID: {action}_{frequency}", job_id),
    Rule("job-id-unique", "在 app/scheduler.py 中注册任务: id 唯一", unique_ids),
    Rule("job-name", 'name="每日账户同步"', job_name),
    Rule("job-replace", "replace_existing=True", replace_existing),
    Rule("job-every-task", "在 app/scheduler.py 中注册任务", every_task),
)
