"""An exception as text that can be stored: bounded, printable, whatever the exception does.

What raised may hold anything: a `__str__` that raises, a message of 100 MB, NUL characters, locals
whose `repr` calls `sys.exit`. None of it may harm the worker or the statement that reports the
failure. The worker's own interrupts do not come here: they strike only while an attempt is open.
"""

from __future__ import annotations

import re
import reprlib
import traceback
from types import FrameType, TracebackType

from taskd.errors import Interrupt, JobSignal, TaskdError

MAX_ERROR = 10_000
MAX_TRACEBACK = 64_000
"""Both in characters."""

# Of the innermost frames only: that is where the cause is, and a repr costs.
_FRAMES_WITH_LOCALS = 10
_LOCALS_A_FRAME = 20
_SECRET = re.compile(r"passw|secret|token|api_?key|auth|credential|private|cookie|dsn", re.I)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def error_text(error: BaseException) -> str:
    """Say an exception as Python does, `ValueError: no such page`; at most MAX_ERROR characters."""
    kind = _kind(error)
    try:
        message = str(error)
    except BaseException as unprintable:
        message = f"(its message cannot be shown: {type(unprintable).__name__})"
    return storable(f"{kind}: {message}" if message else kind, MAX_ERROR)


def _kind(error: BaseException) -> str:
    try:
        return _kind_of(error)
    except BaseException:  # its class has a module, a name or a __class__ of its own making
        return type.__repr__(type(error))


def _kind_of(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__") or isinstance(
        error, TaskdError | Interrupt | JobSignal
    ):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException, skip: int = 0) -> str:
    """Give the traceback with its causes and short locals; at most MAX_TRACEBACK characters.

    `skip` frames are left out at its beginning: those of the worker itself.
    """
    trace = error.__traceback__
    for _ in range(skip):
        trace = trace.tb_next if trace is not None else None
    try:
        told = traceback.TracebackException(type(error), error, trace, compact=True)
        _add_locals(told, error, trace)
        text = "".join(told.format())
    except BaseException as trouble:  # the exception's own code: a property, a __notes__, a repr
        text = f"{error_text(error)}\n(its traceback cannot be shown: {type(trouble).__name__})"
    return storable(text, MAX_TRACEBACK)


def _add_locals(
    told: traceback.TracebackException, error: BaseException, trace: TracebackType | None
) -> None:
    """Fill in the locals of an exception and of its causes, which `told` has without them."""
    frames = list(zip(told.stack, traceback.walk_tb(trace), strict=False))
    for summary, (frame, _) in frames[-_FRAMES_WITH_LOCALS:]:
        summary.locals = _short_locals(frame)
    for below, cause in ((told.__cause__, error.__cause__), (told.__context__, error.__context__)):
        if below is not None and cause is not None:
            _add_locals(below, cause, cause.__traceback__)


def _short_locals(frame: FrameType) -> dict[str, str]:
    names = list(frame.f_locals)[:_LOCALS_A_FRAME]
    return {name: _short(name, frame.f_locals[name]) for name in names if name.isidentifier()}


def _short(name: str, value: object) -> str:
    if _SECRET.search(name):
        return "(hidden: its name sounds like a secret)"
    try:
        return reprlib.repr(value)
    except BaseException as unprintable:
        return f"<{type(value).__name__} whose repr raises {type(unprintable).__name__}>"


def storable(text: str, limit: int) -> str:
    """Make a text one that PostgreSQL takes, of at most `limit` characters.

    The middle is what goes: the beginning says where it started, the end what went wrong.
    """
    if len(text) > limit:
        left_out = f"\n… {len(text) - limit:,} characters left out …\n"
        head = limit // 4
        text = text[:head] + left_out + text[head - limit + len(left_out) :]
    return _UNSTORABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
