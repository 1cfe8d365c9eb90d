"""One line of `taskd check`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a fault keeps the daemon or its jobs from running."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a subject, and the remedy if it is not as it should be."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def fine(subject: str, text: str) -> Finding:
    """All is well with the subject."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """It will run, but not as well as it could."""
    return Finding(Level.WARNING, subject, text, remedy)


def fault(subject: str, text: str, remedy: str) -> Finding:
    """It will not run."""
    return Finding(Level.FAULT, subject, text, remedy)
