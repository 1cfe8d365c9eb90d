"""What happens in a daemon, as values.

Flow code calls `emit`; subscribers make log lines and metrics of it. An event is a frozen
dataclass: its level is one of `logging`'s, its text is `str(event)`, its fields go into JSON lines
as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 job", "1,000 jobs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


Subscriber = Callable[["Event"], None]


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events; a subclass sets its level and says its sentence in `__str__`."""

    level: ClassVar[int] = logging.INFO


class Events:
    """Hands each event to all subscribers, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with each later event, in the emitting thread."""
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        """Tell all subscribers. What a subscriber raises reaches the emitter."""
        for subscriber in self._subscribers:
            subscriber(event)
