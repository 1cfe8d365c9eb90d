"""Whether arguments fit a function, known before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, Self

from taskd.errors import ArgumentsMismatch
from taskd.tasks.names import nearest_name
from taskd.tasks.parameters import is_told, signature_of

_ANY_NUMBER = 1 << 30
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class CallShape:
    """What a function takes, made once so that most calls are checked by comparing a number.

    A call without keywords fits when it has `least` to `most` arguments; anything else is bound.
    The signature is the function's own, not that of what it wraps: a decorator may add arguments.
    """

    __slots__ = ("_leading", "_name", "_named", "_signature", "least", "most")

    def __init__(self, function: FunctionType) -> None:
        self._learn(function.__name__, inspect.signature(function, follow_wrapped=False))

    @classmethod
    def described(cls, name: str, parameters: Sequence[Mapping[str, Any]]) -> Self:
        """The shape of a function that is known by its description alone."""
        shape = cls.__new__(cls)
        shape._learn(name, signature_of(parameters))
        return shape

    def _learn(self, name: str, signature: inspect.Signature) -> None:
        self._name, self._signature = name, signature
        parameters = self._signature.parameters.values()
        needed = [
            one.kind for one in parameters if one.default is one.empty and one.kind not in _VARIADIC
        ]
        # Python 3.13.0 binds these by keyword, if there is a **kwargs for the name to end up in.
        self._leading = [
            one.name
            for one in parameters
            if one.kind is one.POSITIONAL_ONLY and one.default is one.empty
        ]
        self._named = tuple(one.name for one in parameters if one.kind in _POSITIONAL)
        self.least = sum(kind in _POSITIONAL for kind in needed)
        self.most = sum(one.kind in _POSITIONAL for one in parameters)
        if any(one.kind is one.VAR_POSITIONAL for one in parameters):
            self.most = _ANY_NUMBER
        if inspect.Parameter.KEYWORD_ONLY in needed:
            self.most = -1  # no call without keywords fits

    def __contains__(self, parameter: str) -> bool:
        """Whether the function has a parameter of this name."""
        return parameter in self._signature.parameters

    def collects(self, parameter: str) -> bool:
        """Whether the function has it, as `*args` or `**kwargs`."""
        found = self._signature.parameters.get(parameter)
        return found is not None and found.kind in _VARIADIC

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> None:
        """Raise ArgumentsMismatch, with the nearest name, unless the arguments fit."""
        if not kwargs and self.least <= len(args) <= self.most:
            return
        for missing in self._leading[len(args) :]:
            problem = self._misfit(f"missing a required argument: '{missing}'", len(args))
            raise ArgumentsMismatch(f"{self._name}() {problem}")
        try:
            self._signature.bind(*args, **(kwargs or {}))
        except TypeError as error:
            problem = self._unknown_keyword(kwargs or {}) or self._misfit(str(error), len(args))
            raise ArgumentsMismatch(f"{self._name}() {problem}") from None

    def fits_each(self, arguments: Iterable[Sequence[Any]]) -> bool:
        """Whether calls with these arguments, and no keywords, all fit; there is one at least."""
        counts = set(map(len, arguments))
        return self.least <= min(counts) and max(counts) <= self.most

    def by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        """The arguments by the names of their parameters; they must fit.

        With the defaults that are JSON: others cannot be told from process to process.
        """
        if not kwargs and len(args) == len(self._named) == len(self._signature.parameters):
            return dict(zip(self._named, args, strict=True))  # each has its own: a tenth of binding
        bound = self._signature.bind(*args, **(kwargs or {}))
        given = set(bound.arguments)
        bound.apply_defaults()
        return {
            name: value
            for name, value in bound.arguments.items()
            if name in given or is_told(value)
        }

    def hint(self, name: str) -> str | None:
        """What to add where a name is none of an argument's; None if it may be one."""
        parameters = self._signature.parameters
        if name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            return None
        near = nearest_name(name, [one.name for one in parameters.values() if one.kind in _NAMED])
        return f" (did you mean '{near}'?)" if near else f": it takes {self._parameters()}"

    def _unknown_keyword(self, kwargs: Mapping[str, Any]) -> str | None:
        """The first thing to say: a misspelt name is missed under its right one as well."""
        for name in kwargs:
            hint = self.hint(name)
            if hint is not None:
                return f"got an unexpected keyword argument '{name}'{hint}"
        return None

    def _misfit(self, problem: str, given: int) -> str:
        if problem == "too many positional arguments":
            problem = f"got {given} positional arguments, too many"
        return f"{problem}: it takes {self._parameters()}"

    def _parameters(self) -> str:
        bare = [
            one.replace(annotation=one.empty, default=one.empty)
            for one in self._signature.parameters.values()
        ]
        return str(
            self._signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
        )
