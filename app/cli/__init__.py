"""The command line. Each command calls one service, or asks for one run.

What is slow to import is imported inside the command that needs it, so that help is instant.
"""

from __future__ import annotations

from app.cli.root import main

__all__ = ["main"]
