"""What happens in a daemon, as values.

Flow code calls `emit`; subscribers make log lines and metrics of it. An event is as good as a
frozen dataclass: its level is one of `logging`'s, its text is `str(event)`, its fields go into JSON
lines as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar, NoReturn, dataclass_transform


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 job", "1,000 jobs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


Subscriber = Callable[["Event"], None]


@dataclass_transform(frozen_default=True)
class Event:
    """The root of all events; a subclass names its fields, sets its level, says its sentence.

    It does what a frozen dataclass does, and mypy takes it for one. But a process imports dozens
    of these classes, and `dataclass` makes eight functions and a second class for each: 13 KiB,
    where this takes three.
    """

    level: ClassVar[int] = logging.INFO
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, object]] = {}

    def __init_subclass__(cls) -> None:
        own = [name for name, type_ in cls.__annotations__.items() if "ClassVar" not in str(type_)]
        cls._fields = (*cls._fields, *own)
        cls._defaults = {**cls._defaults, **{n: vars(cls)[n] for n in own if n in vars(cls)}}
        cls.__match_args__ = cls._fields  # type: ignore[misc, attr-defined]  # to mypy it is there

    def __init__(self, *values: object, **named: object) -> None:
        given = dict(zip(self._fields, values, strict=False), **named)
        held = {**self._defaults, **given}
        if len(given) < len(values) + len(named) or held.keys() != set(self._fields):
            raise TypeError(f"{type(self).__name__} takes: {', '.join(self._fields)}")
        vars(self).update((name, held[name]) for name in self._fields)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} has happened: its {name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


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
