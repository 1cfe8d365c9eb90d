"""What the server tells in its log."""

from __future__ import annotations

import logging
import traceback
from typing import ClassVar, Self

from taskd.events import Event


class Listening(Event):
    """The server answers from now on."""

    url: str
    has_token: bool

    def __str__(self) -> str:
        whom = "who shows the token" if self.has_token else "programs on this machine"
        return f"answers {whom} at {self.url}"


class SignInNotNoted(Event):
    """Somebody signed in or out, and the database did not take the note."""

    level: ClassVar[int] = logging.WARNING
    role: str
    address: str
    action: str
    error: str

    def __str__(self) -> str:
        return f"could not note {self.action} of {self.role} at {self.address}: {self.error}"


class AnswerFailed(Event):
    """A request met a fault of ours."""

    level: ClassVar[int] = logging.ERROR
    path: str
    traceback: str

    @classmethod
    def of(cls, path: str, fault: Exception) -> Self:
        """With the traceback and the message of the fault."""
        return cls(path, "".join(traceback.format_exception(fault)))

    def __str__(self) -> str:
        return f"could not answer {self.path}\n{self.traceback}"
