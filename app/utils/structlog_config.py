"""Structured logging: one stream for our own events and for those of the libraries."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from app.config import Settings
from app.utils.redaction import redact_event

CHATTY = ("alembic", "apscheduler", "asyncio", "procrastinate", "psycopg", "sqlalchemy", "urllib3")
"""Libraries that tell at INFO what we tell ourselves; their warnings stay."""

Sink = Callable[[Mapping[str, Any]], None]
"""Takes a finished event, without secrets and without anything that may change later."""

_sink: Sink | None = None
_sink_level = logging.CRITICAL
_console_level = logging.WARNING


def get_system_logger() -> structlog.stdlib.BoundLogger:
    """Return the logger of the system's own events.

    Fields are keywords: ``logger.info("…", module="tasks", task="sync_accounts")``.
    """
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("whalefall")
    return logger


def configure_logging(settings: Settings) -> None:
    """Send every message of this process to standard error, as the settings want it.

    Called again, the later settings count. Secrets are taken out, of what libraries log too.
    """
    every_event: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *every_event,
            redact_event,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = StandardErrorHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*every_event, structlog.stdlib.ExtraAdder()],
            processors=[_finished(_renderer(settings))],
        )
    )
    root = logging.getLogger()
    for earlier in [old for old in root.handlers if isinstance(old, StandardErrorHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    global _console_level
    _console_level = logging.getLevelNamesMapping()[settings.log_level]
    _set_levels()


def send_events_to(sink: Sink | None, level: str, *, only_if: Sink | None = None) -> None:
    """Give every event of at least this level to the sink, too; the console stays as it is.

    The sink is called by the thread that logs, before the console is written to. It must be quick
    and never raise. With ``only_if``, nothing changes unless that is the present sink.
    """
    global _sink, _sink_level
    if only_if is not None and _sink != only_if:
        return
    _sink = sink
    _sink_level = logging.CRITICAL if sink is None else logging.getLevelNamesMapping()[level]
    _set_levels()


def _set_levels() -> None:
    least = min(_console_level, _sink_level) if _sink else _console_level
    logging.getLogger().setLevel(least)
    for name in CHATTY:
        level = logging.NOTSET if least <= logging.DEBUG else logging.WARNING
        logging.getLogger(name).setLevel(level)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)  # it would log parameters


def _finished(render: Processor) -> Processor:
    """Return what is done last: secrets out of what libraries log, to the sink, to the console."""

    def finish(caller: Any, method: str, event: EventDict) -> str:
        level = event["_record"].levelno
        ours = event["_from_structlog"]
        event = structlog.stdlib.ProcessorFormatter.remove_processors_meta(caller, method, event)
        if not ours:  # else it has been redacted already
            event = dict(redact_event(caller, method, event))
        if _sink is not None and level >= _sink_level:
            _sink(event)
        return str(render(caller, method, event)) if level >= _console_level else ""

    return finish


class StandardErrorHandler(logging.Handler):
    """Writes to whatever standard error is now; what is logged meanwhile is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message; never raise, never recurse."""
        if getattr(self._busy, "emitting", False):
            return
        self._busy.emitting = True
        try:
            line = self.format(record).encode(errors="backslashreplace").decode()
            if record.levelno >= _console_level:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
        except Exception:  # noqa: BLE001 - handleError reports it; logging must not stop the work
            self.handleError(record)
        finally:
            self._busy.emitting = False


def _renderer(settings: Settings) -> Processor:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if settings.log_format == "console" or (settings.log_format == "auto" and terminal):
        return structlog.dev.ConsoleRenderer(colors=terminal)
    return structlog.processors.JSONRenderer(serializer=_json)


def _json(event: Any, **_: Any) -> str:
    return json.dumps(event, ensure_ascii=False, default=str)
