"""Structured logging: one stream for our own events and for those of the libraries."""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Any

import structlog
from structlog.typing import Processor

from app.config import Settings
from app.utils.redaction import redact_event

CHATTY = ("alembic", "apscheduler", "asyncio", "procrastinate", "psycopg", "sqlalchemy", "urllib3")
"""Libraries that tell at INFO what we tell ourselves; their warnings stay."""


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
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,  # for what libraries log
                _renderer(settings),
            ],
        )
    )
    root = logging.getLogger()
    for earlier in [old for old in root.handlers if isinstance(old, StandardErrorHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name in CHATTY:
        level = logging.NOTSET if settings.log_level == "DEBUG" else logging.WARNING
        logging.getLogger(name).setLevel(level)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)  # it would log parameters


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
