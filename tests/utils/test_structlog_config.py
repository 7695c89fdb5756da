from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.utils.redaction import MASK, redact_event, redact_text
from app.utils.structlog_config import (
    configure_logging,
    get_system_logger,
)

SECRET = "s3cr3t-Pa55/w@rd:x"


@pytest.fixture(autouse=True)
def _logging_as_before(logging_as_before: None) -> None:
    """Whatever is logged here leaves nothing behind."""


def _configure(tmp_path: Path, **changes: Any) -> None:
    configure_logging(Settings(data_dir=tmp_path, **{"log_format": "json", **changes}))


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_task_event_of_the_specification_is_one_json_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(tmp_path)
    structlog.contextvars.bind_contextvars(run_id=7)
    logger = get_system_logger()
    logger.info("开始账户同步任务", module="tasks", task="sync_accounts", instance_count="all")
    (line,) = _lines(capsys)
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "event": "开始账户同步任务",
        "module": "tasks",
        "task": "sync_accounts",
        "instance_count": "all",
        "run_id": 7,
        "level": "info",
        "logger": "whalefall",
    }


def test_a_library_message_takes_the_same_way_and_the_same_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(tmp_path)
    structlog.contextvars.bind_contextvars(run_id=7)
    logging.getLogger("procrastinate.worker").warning("job %s", "a", extra={"token": SECRET})
    logging.getLogger("procrastinate.worker").info("chatter")
    (line,) = _lines(capsys)
    assert (line["event"], line["run_id"], line["token"]) == ("job a", 7, MASK)


def test_an_exception_is_logged_with_its_traceback_and_without_its_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(tmp_path)

    def connect() -> None:
        raise RuntimeError(f"cannot reach postgresql://u:{SECRET}@db/x")

    try:
        connect()
    except RuntimeError as failure:
        get_system_logger().exception("账户同步任务失败", error=str(failure))
    (line,) = _lines(capsys)
    assert "Traceback" in line["exception"]
    assert SECRET not in json.dumps(line)
    assert line["error"] == f"cannot reach postgresql://u:{MASK}@db/x"


def test_configuring_twice_does_not_log_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(tmp_path)
    _configure(tmp_path, log_level="warning")
    get_system_logger().info("unheard")
    get_system_logger().warning("heard")
    assert [line["event"] for line in _lines(capsys)] == ["heard"]


def test_console_is_for_people_and_auto_is_json_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(tmp_path, log_format="console")
    get_system_logger().info("hello", task="x")
    assert capsys.readouterr().err.endswith("task=x\n")
    _configure(tmp_path, log_format="auto")
    get_system_logger().info("hello")
    assert _lines(capsys)[0]["event"] == "hello"


def test_logging_while_a_message_is_formatted_does_not_recurse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Talkative:
        def __repr__(self) -> str:
            get_system_logger().info("about myself", me=self)
            return "talkative"

    _configure(tmp_path)
    get_system_logger().info("hello", thing=Talkative())
    assert [(line["event"], line["thing"]) for line in _lines(capsys)] == [("hello", "talkative")]


def test_what_cannot_be_shown_or_written_does_not_stop_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise ValueError

    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    _configure(tmp_path)
    get_system_logger().info(
        "odd", mute=Mute(), loop=loop, half="\udc80", keys={1: {(2,): b"\xff"}}
    )
    (line,) = _lines(capsys)
    assert line["mute"] == "<Mute that cannot be shown: ValueError>"
    assert line["loop"] == {"again": ["…"]}


def test_a_closed_standard_error_stops_nothing() -> None:
    program = (
        "import sys, os\n"
        "from app.config import Settings\n"
        "from app.utils.structlog_config import configure_logging, get_system_logger\n"
        "configure_logging(Settings(log_format='json'))\n"
        "os.close(2)\n"
        "get_system_logger().info('into the void')\n"
        "print('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "went on\n"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "new_password",
        "db-password",
        "userPassword",
        "passwd",
        "secret",
        "client_secret",
        "token",
        "access_token",
        "tokens",
        "dsn",
        "Authorization",
        "proxy-authorization",
        "Set-Cookie",
        "api_key",
        "apiKey",
        "encryption_key",
        "database_url",
        "conninfo",
    ],
)
def test_a_field_that_is_named_like_a_secret_is_masked_at_any_depth(key: str) -> None:
    event = {"event": "x", key: SECRET, "deep": [{"a": ({key: {"inner": SECRET}},)}], b"t": 1}
    assert SECRET not in str(redact_event(None, "info", {str(k): v for k, v in event.items()}))


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@h/db",
        f"connection to postgresql+psycopg://u:{SECRET}@h:5432/db?sslmode=require failed",
        f"mysql://:{SECRET}@h",
        f"HTTP://admin:{SECRET}@proxy:8080 refused",
        f"host=h password={SECRET} user=u",
        f"host=h password='{SECRET} two words' user=u",
        f'{{"user": "u", "password": "{SECRET} \\" more"}}',
        f"{{'passwd': '{SECRET}'}}",
        f"GET /x?token={SECRET}&y=1",
        f"api_key: {SECRET}",
        f"PGPASSWORD={SECRET} psql",
        f"WHALEFALL_SECRET_X={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: basic {SECRET}",
        f"ALTER ROLE x PASSWORD '{SECRET}'",
        f"create user x identified by '{SECRET}'",
        f"CREATE USER x IDENTIFIED WITH caching_sha2_password BY '{SECRET}'",
        f"CREATE USER x IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}')",
        f"SET PASSWORD = '{SECRET}'",
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    redacted = redact_text(text)
    assert SECRET not in redacted
    assert "Pa55" not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "token",
    [
        "gAAAAABn0m1Xk8oQ2v9pVbQ1T6q3rPz5y7w9A1c3E5g7I9k1M3o5Q7s9U1w3Y5a7==",
        "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9",
        "$A$005$abcdefghijklmnopqrst1234567890",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
    ],
)
def test_stored_passwords_and_keys_are_known_by_their_looks(token: str) -> None:
    assert redact_text(f"saw {token} there") == f"saw {MASK} there"


def test_what_is_no_secret_stays() -> None:
    event = {
        "event": "Instance db-1 was read at https://h:8443/path in 12 ms",
        "credential": "monitoring",
        "credentials": 3,
        "task": "sync_accounts",
        "has_password": True,
        "bytes": 10**15,
        "pwd_checked": None,
        "author": "x@y.z",
    }
    assert redact_event(None, "info", dict(event)) == event


@given(
    user=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8),
    password=st.text(
        st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=6, max_size=30
    ),
)
def test_no_password_of_a_url_survives(user: str, password: str) -> None:
    redacted = redact_text(f"see postgresql://{user}:{password}@host:5432/db now")
    assert redacted == f"see postgresql://{user}:{MASK}@host:5432/db now"
