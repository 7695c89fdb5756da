"""Structured logging."""

from __future__ import annotations

import logging
import sys

import structlog

from app.config import Settings


def get_system_logger() -> structlog.stdlib.BoundLogger:
    """Return the logger of the system's own events."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("whalefall")
    return logger


def configure_logging(settings: Settings) -> None:
    """Send every message of this process to standard error, as the settings want it."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
