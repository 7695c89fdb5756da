"""What the design says of the rest of the tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.architecture.source import Rule, Source, is_below

BANNED = re.compile(
    r"(^|_)(manager|helper|handler|coordinator|orchestrator|runner|factory|factories|common|misc)s?(_|$)"
    r"|^base_|^base$|_read_service$|_actions_service$"
)
OF_A_REQUEST = {
    "abort",
    "after_this_request",
    "flash",
    "g",
    "get_flashed_messages",
    "jsonify",
    "make_response",
    "redirect",
    "render_template",
    "render_template_string",
    "request",
    "Request",
    "Response",
    "send_file",
    "session",
    "url_for",
}


def says_something(source: Source) -> Iterator[str]:
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if BANNED.search(part):
            yield f"{part} says nothing about what is in it"


def no_request_in_services(source: Source) -> Iterator[str]:
    if not source.path.startswith("app/services/"):
        return
    for module, name in source.imports():
        whole = is_below(module, "flask") and (not name or name in OF_A_REQUEST)
        if whole or is_below(module, "werkzeug") or module in {"app.routes", "app.api"}:
            yield f"a service knows no HTTP: {module} {name}".rstrip()


def no_commit_in_repositories(source: Source) -> Iterator[str]:
    if not source.path.startswith("app/repositories/"):
        return
    for call in _method_calls(source, "commit"):
        yield f"line {call.lineno} commits: the service decides when"


def schedule_in_one_file(source: Source) -> Iterator[str]:
    if source.path == "app/scheduler.py":
        return
    for call in _method_calls(source, "add_job"):
        yield f"line {call.lineno} registers a job outside app/scheduler.py"


def _method_calls(source: Source, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == method:
            yield node


LAYER_RULES = (
    Rule("names", "Names that say nothing are banned", says_something),
    Rule("services-no-http", "services know no HTTP", no_request_in_services),
    Rule("repositories-no-commit", "repositories never commit", no_commit_in_repositories),
    Rule("one-schedule", "app/scheduler.py holds the whole schedule", schedule_in_one_file),
)
