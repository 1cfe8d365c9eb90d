"""Greenlets that a job spawns belong to it, and so do its threads, which gevent makes greenlets."""

from __future__ import annotations

from contextvars import copy_context

from gevent import Greenlet

from taskd.tasks.context import running_attempt


def let_greenlets_inherit() -> None:
    """Give what a job spawns the job's context, where gevent would give it an empty one.

    So `current_job()` is known there, and what it logs lands on the job. Calling it twice is
    harmless.
    """
    Greenlet.add_spawn_callback(_inherit)


def _inherit(spawned: Greenlet) -> None:
    if running_attempt.get(None) is not None:
        spawned.gr_context = copy_context()
