"""What a job starts in a greenlet worker: greenlets, threads (greenlets under gevent), children.

Greenlets and threads belong to their job; the end of a child that it forks is heard.
"""

from __future__ import annotations

import os
from contextvars import copy_context

from gevent import Greenlet, get_hub

from taskd.tasks.context import running_attempt


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


def _inherit(spawned: Greenlet) -> None:
    if running_attempt.get(None) is not None:
        spawned.gr_context = copy_context()
