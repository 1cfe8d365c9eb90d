"""What a job starts in a greenlet worker: greenlets, threads (greenlets under gevent), children.

Greenlets and threads belong to their job; the end of a child that it forks is heard. The child is
no second worker: of all greenlets only the one that forked goes on there, and ends with its task.
"""

from __future__ import annotations

import os
import signal
import traceback
from contextvars import copy_context
from typing import NoReturn, cast

from gevent import Greenlet, get_hub
from gevent.hub import Hub, set_hub
from greenlet import getcurrent, greenlet

from taskd.tasks.context import running_attempt
from taskd.tasks.outcome import Failed, Outcome


def let_greenlets_inherit() -> None:
    """Give what a job spawns the job's context, where gevent would give it an empty one.

    So `current_job()` is known there, and what it logs lands on the job. Calling it twice is
    harmless.
    """
    Greenlet.add_spawn_callback(_inherit)


def watch_before_fork() -> None:
    """Let the hub listen for ended children before a job forks one.

    gevent does so only after its first `os.fork()`: a child that has ended by then is never heard
    of, and `os.waitpid` waits for it for ever. From then on it is the hub that reaps, also children
    that something below Python has forked, as it always was from the first child on.
    """
    os.register_at_fork(before=get_hub().loop.install_sigchld)


def leave_others_behind() -> None:
    """Let a child that a job forks run the greenlet that forked it, and no other.

    Its first wait would otherwise run what the worker's other greenlets have to do a second time:
    its neighbours' jobs, claims and reports, on the same connections. So the child gets a hub of
    its own, with a loop that knows nothing, and a main greenlet that only ends it. SIGTERM ends it
    too; to wait for what only the worker could bring raises an error.
    """
    os.register_at_fork(after_in_child=_get_a_hub)


def end_child(outcome: Outcome) -> NoReturn:
    """End a child in which a task has come to its end, as if that were the program's."""
    os._exit(1 if isinstance(outcome, Failed) else 0)


class LeftBehind(Hub):  # type: ignore[misc]  # gevent has no types
    """The worker's hub in a child: what still waits on it would jump into a loop that is gone."""

    def switch(self) -> object:
        """Refuse to wait; whoever forked goes on."""
        raise RuntimeError("a child of a job waits for what only its worker can bring")


def _get_a_hub() -> None:
    hub = cast(Hub, get_hub())
    forker = cast(greenlet, getcurrent())
    top = forker
    while top.parent is not None and top.parent is not hub:
        top = top.parent
    if top.parent is None:
        return  # it was forked outside of all greenlets, or by the hub
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hub.loop.destroy()
    hub.__class__ = LeftBehind
    new = Hub(default=True)
    new.parent = greenlet(_end_in_place_of_main, hub.parent)
    top.parent = new
    set_hub(new)
    new.parent.switch(forker, top)


def _end_in_place_of_main(forker: greenlet, top: greenlet) -> NoReturn:
    """Let the one that forked go on; called back when nothing is left to run, or by an error."""
    try:
        forker.switch()
    except BaseException:  # a border: whatever it is, the worker's main greenlet must not go on
        if not top.dead:
            traceback.print_exc()
    os._exit(0 if top.dead else 1)  # dead: it was a thread of the job, which has come to its end


def _inherit(spawned: Greenlet) -> None:
    if running_attempt.get(None) is not None:
        spawned.gr_context = copy_context()
