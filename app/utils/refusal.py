"""How a service says no to a person."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """What was asked cannot be done."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """Why not; for people, holds no secret."""
        self.remedy = remedy
        """What to do instead."""


class NotFound(Refused, LookupError):  # noqa: N818 - an answer too
    """Nothing has that name."""
