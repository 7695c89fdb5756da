"""What the specification of the task layer says of a file in app/tasks, rule by rule."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from itertools import pairwise

from tests.architecture.source import Rule, Source, is_below, words_of

FILE_LINES = 150
FUNCTION_LINES = 50
ALLOWED = ("app.services", "app.utils", "app.constants")
LOGIC = (ast.If, ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def in_its_folder(source: Source) -> Iterator[str]:
    folder = source.path.rpartition("/")[0]
    if folder != "app/tasks" and source.stem.endswith("_tasks"):
        yield "task files are in app/tasks, none elsewhere or deeper"
    if folder.startswith("app/tasks/"):
        yield "app/tasks has no folders"


def file_name(source: Source) -> Iterator[str]:
    if not re.fullmatch(r"[a-z]+(_[a-z]+)*_tasks", source.stem):
        yield f"{source.stem}.py is not named {{action}}_tasks.py"


def module_docstring(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield "the file has no docstring"


def future_annotations(source: Source) -> Iterator[str]:
    if ("__future__", "annotations") not in set(source.imports()):
        yield "from __future__ import annotations is missing"


def function_name(source: Source) -> Iterator[str]:
    subject = words_of(source.stem.removesuffix("_tasks"))
    for task in source.functions:
        if not re.fullmatch(r"[a-z]+(_[a-z]+)+", task.name) or task.name.endswith(
            ("_task", "_job")
        ):
            yield f"{task.name} is not named {{action}} or run_{{action}}"
        elif not words_of(task.name) & subject:
            yield f"{task.name} does not say the action that {source.stem}.py is about"


def function_docstring(source: Source) -> Iterator[str]:
    for task in source.functions:
        if not ast.get_docstring(task):
            yield f"{task.name} has no docstring"


def returns_dict(source: Source) -> Iterator[str]:
    for task in source.functions:
        if task.returns is None or not ast.unparse(task.returns).startswith("dict"):
            yield f"{task.name} is not annotated -> dict"


def only_tasks(source: Source) -> Iterator[str]:
    for node in source.tree.body:
        if isinstance(node, (ast.ClassDef, ast.AsyncFunctionDef)):
            yield f"{node.name} is not a task function"
    if not source.functions:
        yield "there is no task function"


def no_logic(source: Source) -> Iterator[str]:
    for task in source.functions:
        for node in ast.walk(task):
            if isinstance(node, LOGIC):
                yield f"{task.name} decides or loops in line {node.lineno}: that is the service's"


def allowed_imports(source: Source) -> Iterator[str]:
    for module, name in source.imports():
        top = module.partition(".")[0]
        allowed = any(is_below(module, package) for package in ALLOWED)
        if not allowed and top != "flask" and top not in sys.stdlib_module_names:
            yield f"{module} {name} may not be imported".replace("  ", " ")


def only_current_app(source: Source) -> Iterator[str]:
    for module, name in source.imports():
        if module.partition(".")[0] == "flask" and (module, name) != ("flask", "current_app"):
            yield f"of flask only current_app may be imported, not {name or module}"


def forbids(package: str) -> Rule:
    """Return the rule that forbids one package."""
    told = {
        "app.models": "禁止依赖 app.models.*: 数据模型（通过 Service）",
        "app.repositories": "禁止依赖 app.repositories.*: 仓储（通过 Service）",
        "app.routes": "禁止依赖 app.routes.*: 路由层",
        "app.api": "禁止依赖 app.api.*: API 层",
        "sqlalchemy": "禁止: 直接查询数据库（应通过 Service）",
    }[package]

    def check(source: Source) -> Iterator[str]:
        for module, name in source.imports():
            full = f"{module}.{name}" if name else module
            if is_below(module, package) or is_below(full, package):
                yield f"{full} may not be imported"

    return Rule(f"no-{package.rpartition('.')[2]}", told, check)


def file_size(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > FILE_LINES:
        yield f"the file has {lines} lines, more than {FILE_LINES}"


def function_size(source: Source) -> Iterator[str]:
    for task in source.functions:
        lines = (task.end_lineno or task.lineno) - task.lineno + 1
        if lines > FUNCTION_LINES:
            yield f"{task.name} has {lines} lines, more than {FUNCTION_LINES}"


def app_context(source: Source) -> Iterator[str]:
    for task in source.functions:
        if _block(task) is None:
            yield f"{task.name} does not run wholly inside with current_app.app_context()"


def one_service_call(source: Source) -> Iterator[str]:
    for task in source.functions:
        calls = _service_calls(source, task)
        if len(calls) != 1:
            yield f"{task.name} calls services {len(calls)} times, not once"


def service_singleton(source: Source) -> Iterator[str]:
    for module, name in source.imports():
        if not is_below(module, "app.services"):
            continue
        parts = module.split(".")
        if len(parts) != 4 or parts[3] != f"{parts[2]}_service" or name != parts[3]:
            yield f"{module} {name} is not app.services.<domain>.<domain>_service.<domain>_service"


def returns_result(source: Source) -> Iterator[str]:
    for task in source.functions:
        calls = _service_calls(source, task)
        kept = {
            ast.unparse(node.targets[0])
            for node in ast.walk(task)
            if isinstance(node, ast.Assign) and node.value in calls
        }
        returned = [node.value for node in ast.walk(task) if isinstance(node, ast.Return)]
        if not returned or any(
            value is None or ast.unparse(value) not in kept for value in returned
        ):
            yield f"{task.name} does not return the service's result"


def system_logger(source: Source) -> Iterator[str]:
    imported = ("app.utils.structlog_config", "get_system_logger") in set(source.imports())
    wanted = "logger = get_system_logger()"
    if not imported or wanted not in [ast.unparse(node) for node in source.tree.body]:
        yield f"{wanted} is missing"


def start_event(source: Source) -> Iterator[str]:
    for task in source.functions:
        block = _block(task) or task.body
        told = _log_call(block[0] if block else None, "info")
        wanted = {"module": "'tasks'", "task": repr(task.name)}
        if any(argument.arg == "instance_ids" for argument in task.args.args):
            wanted["instance_count"] = "len(instance_ids) if instance_ids else 'all'"
        yield from _compare(task, "start", told, wanted, r"开始.+任务")


def done_event(source: Source) -> Iterator[str]:
    for task in source.functions:
        calls = _service_calls(source, task)
        told = None
        for block in _bodies(task):
            for node, following in pairwise(block):
                if isinstance(node, ast.Assign) and node.value in calls:
                    told = _log_call(following, "info")
        wanted = {
            "module": "'tasks'",
            "task": repr(task.name),
            "success_count": "result.get('success_count', 0)",
            "failed_count": "result.get('failed_count', 0)",
        }
        yield from _compare(task, "done", told, wanted, r".+任务完成")


def failed_event(source: Source) -> Iterator[str]:
    for task in source.functions:
        told = None
        for caught in _catches(task):
            told = _log_call(caught.body[0], "exception")
        wanted = {"module": "'tasks'", "task": repr(task.name), "error": "str(exc)"}
        yield from _compare(task, "failed", told, wanted, r".+任务失败")


def raises_again(source: Source) -> Iterator[str]:
    for task in source.functions:
        caught = _catches(task)
        again = [ast.unparse(one.body[-1]) == "raise" for one in caught]
        if len(caught) != 1 or not all(again):
            yield f"{task.name} does not catch Exception as exc, and raise it again"


def _block(task: ast.FunctionDef) -> list[ast.stmt] | None:
    """Return what stands inside the application context, if all of the function does."""
    body = task.body[1:] if ast.get_docstring(task) else task.body
    if len(body) == 1 and isinstance(body[0], ast.With):
        contexts = [ast.unparse(item.context_expr) for item in body[0].items]
        if contexts == ["current_app.app_context()"]:
            return body[0].body
    return None


def _bodies(task: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(task):
        if isinstance(node, (ast.FunctionDef, ast.With, ast.Try)):
            yield node.body


def _catches(task: ast.FunctionDef) -> list[ast.ExceptHandler]:
    return [
        node
        for node in ast.walk(task)
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and (ast.unparse(node.type), node.name) == ("Exception", "exc")
    ]


def _service_calls(source: Source, task: ast.FunctionDef) -> list[ast.expr]:
    names = source.bound_to("app.services")
    return [
        node
        for node in ast.walk(task)
        if isinstance(node, ast.Call) and ast.unparse(node.func).partition(".")[0] in names
    ]


def _log_call(node: ast.stmt | None, level: str) -> ast.Call | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return node.value if ast.unparse(node.value.func) == f"logger.{level}" else None
    return None


def _compare(
    task: ast.FunctionDef,
    event: str,
    told: ast.Call | None,
    wanted: dict[str, str],
    message: str,
) -> Iterator[str]:
    if told is None:
        yield f"{task.name} does not log its {event} event where it belongs"
        return
    text = told.args[0] if len(told.args) == 1 else None
    words = text.value if isinstance(text, ast.Constant) else None
    if not isinstance(words, str) or not re.fullmatch(message, words):
        yield f"{task.name}: the {event} event does not read {message}"
    fields = {keyword.arg: ast.unparse(keyword.value) for keyword in told.keywords}
    for name, value in wanted.items():
        if fields.get(name) != value:
            yield f"{task.name}: the {event} event lacks {name}={value}"


TASK_RULES = (
    Rule("folder", "`app/tasks/` 目录下所有后台任务", in_its_folder),
    Rule("file-name", "文件: {action}_tasks.py", file_name),
    Rule("module-docstring", '模板: """账户同步任务."""', module_docstring),
    Rule("future-annotations", "模板: from __future__ import annotations", future_annotations),
    Rule("function-name", "函数: {action} 或 run_{action}", function_name),
    Rule("function-docstring", '模板: """执行账户同步任务. …"""', function_docstring),
    Rule("returns-dict", "模板: -> dict", returns_dict),
    Rule("only-tasks", "职责: 定义定时/后台任务", only_tasks),
    Rule("no-logic", "禁止: 包含复杂业务逻辑", no_logic),
    Rule(
        "allowed-imports",
        "允许依赖: app.services.*, app.utils.*, app.constants.*, flask.current_app",
        allowed_imports,
    ),
    Rule("only-current-app", "允许依赖: flask.current_app 应用上下文", only_current_app),
    forbids("app.models"),
    forbids("app.repositories"),
    forbids("app.routes"),
    forbids("app.api"),
    forbids("sqlalchemy"),
    Rule("file-size", "单文件行数 上限 150 行", file_size),
    Rule("function-size", "单任务函数行数 上限 50 行", function_size),
    Rule("app-context", "正确：使用 current_app.app_context()", app_context),
    Rule("one-service-call", "Tasks = 定时执行 + 调用 Service + 应用上下文", one_service_call),
    Rule(
        "service-singleton",
        "模板: from app.services.accounts_sync.accounts_sync_service import accounts_sync_service",
        service_singleton,
    ),
    Rule("returns-result", "模板: return result", returns_result),
    Rule("system-logger", "模板: logger = get_system_logger()", system_logger),
    Rule("start-event", "记录任务执行日志: 开始账户同步任务", start_event),
    Rule("done-event", "记录任务执行日志: 账户同步任务完成", done_event),
    Rule("failed-event", "记录任务执行日志: 账户同步任务失败", failed_event),
    Rule("raises-again", "模板: except Exception as exc: … raise", raises_again),
)
