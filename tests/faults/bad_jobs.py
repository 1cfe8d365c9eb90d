"""Tasks that do to their worker what no task should."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from taskd import task


@task
def crash() -> None:
    """Takes its worker with it, each time."""
    ctypes.string_at(0)


@task
def fork() -> None:
    """Leaves a child that lives on with all that the worker has."""
    if os.fork() == 0:
        time.sleep(10)
        os._exit(0)


@task
def close_descriptors() -> None:
    os.closerange(3, 256)


@task
def change_directory() -> None:
    os.chdir("/")


@task
def install_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)


@task
def start_threads() -> None:
    for _ in range(50):
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()


@task
def exhaust_memory() -> None:
    """As far as the limit that the test sets; the attempt fails, or its worker dies of it."""
    hoard = []
    while True:
        hoard.append(bytearray(64 * 2**20))


@task
def print_much(megabytes: int) -> None:
    for _ in range(megabytes):
        sys.stdout.write("x" * (2**20 - 1) + "\n")


@task
def never_yield(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@task
def hold_the_hub() -> None:
    """Computes, lets nobody else go on, and no signal end it."""
    while True:
        with suppress(BaseException):
            while True:
                pass


@task
def monkey_patch() -> None:
    """Takes from its worker what a daemon might use."""

    def fail(*_: object) -> None:
        raise RuntimeError("patched by a job")

    time.sleep = fail
    json.loads = fail
    select.poll = fail


@task
def recurse() -> None:
    recurse()


@task
def fail_at_length(megabytes: int) -> None:
    raise ValueError("y" * (megabytes * 2**20))


@task
def leave(status: int) -> None:
    os._exit(status)


@task
def kill_host() -> None:
    """Kills everything that its daemon consists of, as the kernel does with a whole cgroup."""
    master = os.getppid()
    text = Path(f"/proc/{master}/task/{master}/children").read_text()
    os.kill(master, signal.SIGKILL)
    for pid in map(int, text.split()):
        if pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
