"""Words of the log centre."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How severe a message is; in this order."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


SEVERITY_CLASSES = ("info", "warning", "error")
"""By which entries are partitioned; the last one holds critical ones, too, the first one debug."""

CLASS_OF_LEVEL = {
    "debug": "info",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "exception": "error",
    "critical": "error",
    "fatal": "error",
}
"""A level of a library's own making counts as info."""

AT_LEAST = {
    Level.DEBUG: (SEVERITY_CLASSES, ()),
    Level.INFO: (SEVERITY_CLASSES, ("debug",)),
    Level.WARNING: (SEVERITY_CLASSES[1:], ()),
    Level.ERROR: (SEVERITY_CLASSES[2:], ()),
    Level.CRITICAL: (SEVERITY_CLASSES[2:], ("error", "exception")),
}
"""Which classes hold what is at least so severe, and which levels in them are less."""
