"""Asking a process of its own what the modules of `imports` hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taskd.cli.interpreter import python_command

SHOWN_LINES = 5
"""How much of what a dying process said is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What came of importing; `error` is one line or None, the rest holds if there is none."""

    error: str | None = None
    threads: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    tasks: tuple[dict[str, Any], ...] = ()


def probe_imports(
    modules: Sequence[str], *, middleware: Sequence[str] = (), greenlets: bool, seconds: float
) -> Probed:
    """Import the modules in a child, patched by gevent if `greenlets`; blocks at most `seconds`.

    After them what the setting `middleware` lists.
    """
    answer_fd = os.memfd_create("taskd-probe")
    flags = ["--greenlets"] if greenlets else []
    flags += [f"--middleware={path}" for path in middleware]
    command = [*python_command("taskd.cli.probe"), *flags, f"--answer-fd={answer_fd}", *modules]
    try:
        ended = subprocess.run(
            command,
            pass_fds=[answer_fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probed(error=f"takes longer than {seconds:g} s, the pool's startup_timeout")
    finally:
        answer = _contents(answer_fd)
    return _read(answer) if answer else Probed(error=_death(ended.returncode, ended.stderr))


def _contents(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as answer_file:
        answer_file.seek(0)
        return answer_file.read()


def _read(answer: str) -> Probed:
    said = json.loads(answer)
    return Probed(
        error=said.get("error"),
        threads=tuple(said.get("threads", ())),
        sockets=tuple(said.get("sockets", ())),
        tasks=tuple(said.get("tasks", ())),
    )


def _death(status: int, stderr: bytes) -> str:
    """Say how a child ended that gave no answer."""
    how = f"died of {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"
    last_words = " ".join(stderr.decode(errors="replace").split("\n")[-SHOWN_LINES:]).strip()
    return f"the importing process {how}" + (f": {last_words}" if last_words else "")
