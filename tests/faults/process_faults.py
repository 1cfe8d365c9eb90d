"""Faults of processes: killed, crashed, stopped for a while, one or a whole host."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from functools import partial

from tests.faults.host import ROLES, Host
from tests.faults.stand import Fault, Stand


def _victim(stand: Stand, chance: random.Random, role: str) -> tuple[Host, int] | None:
    """A process of this role; the greenlet pool's workers come up more often than the other's."""
    found = [(host, pid) for host in stand.hosts for pid in host.pids(role)]
    return chance.choice(found) if found else None


def kill(stand: Stand, chance: random.Random, *, role: str, number: signal.Signals) -> None:
    """Send a deadly signal to one process."""
    found = _victim(stand, chance, role)
    if found is None:
        return  # another strike has just taken them all
    host, pid = found
    died = [pid, *host.pids("worker")] if role == "master" else [pid]
    with contextlib.suppress(ProcessLookupError):
        at = time.time()
        os.kill(pid, number)
        stand.strike(f"{number.name} {role}", died, at)


def stop(
    stand: Stand, chance: random.Random, *, role: str, least: float = 0.5, most: float = 4.0
) -> None:
    """Stop one process for a while."""
    found = _victim(stand, chance, role)
    if found is None:
        return
    _, pid = found
    seconds = chance.uniform(least, most)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        stand.strike(f"SIGSTOP {role}", [pid])
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)


def stop_reading(stand: Stand, chance: random.Random, *, least: float, most: float) -> None:
    """Let nobody read what a host says for a while, so that its pipe is full."""
    host = chance.choice(stand.hosts)
    with host.unread():
        stand.strike("full pipe")
        time.sleep(chance.uniform(least, most))


def lose_host(stand: Stand, chance: random.Random, *, away: float) -> None:
    """Take all processes of one host at once, and bring it back later, as another incarnation."""
    host = chance.choice(stand.hosts)
    at = time.time()
    pids = host.lose()
    stand.strike("host lost", pids, at)
    time.sleep(away)
    host.restore()


def process_faults(away: float) -> dict[str, Fault]:
    """All of them, by name; a lost host is `away` so many seconds."""
    faults: dict[str, Fault] = {"host lost": partial(lose_host, away=away)}
    for role in ROLES:
        for number in (signal.SIGKILL, signal.SIGSEGV):
            faults[f"{number.name} {role}"] = partial(kill, role=role, number=number)
        faults[f"SIGSTOP {role}"] = partial(stop, role=role)
    return faults
