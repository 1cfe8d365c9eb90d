"""How long and how much: the short form of the suite, or the long one, each size by environment."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("TASKD_FAULTS") == "long"


def _size(name: str, short: float, long: float) -> float:
    return float(os.environ.get(f"TASKD_FAULTS_{name}", long if IS_LONG else short))


SEED = int(_size("SEED", 1, 1))

PATIENCE = _size("PATIENCE", 5, 1)
"""How many times longer than promised things may take: the suite's tests share the processors."""

LEASE = _size("LEASE", 3, 15)
STRIKES = int(_size("STRIKES", 20, 150))
"""On processes; those on the server come as often for each second."""

STRIKE_SECONDS = _size("STRIKE_SECONDS", 12, 120)
ROUNDS = int(_size("ROUNDS", 1, 5))
"""How often the server is struck in each way."""

MIXED_SECONDS = _size("MIXED_SECONDS", 14, 300)
"""How long processes, server and network are struck together; twice as many strikes."""

LOCK_SECONDS = _size("LOCK_SECONDS", 0.5, 10)
OUTAGE_SECONDS = _size("OUTAGE_SECONDS", 5, 30)
BLACK_HOLE_SECONDS = _size("BLACK_HOLE_SECONDS", 4, 30)
OUTPUT_MEGABYTES = int(_size("OUTPUT_MEGABYTES", 20, 1024))
"""What a job prints that prints much."""

RESTARTS = int(_size("RESTARTS", 0, 100))
JOBS = int(_size("JOBS", 0, 1_000_000))
"""Under random kills."""

DEATH_PAUSE = _size("DEATH_PAUSE", 1, 3)
"""Seconds between two of these kills, on average."""

BLOCKED_SECONDS = _size("BLOCKED_SECONDS", 16, 3600)
"""How long hubs are blocked again and again, processes stopped and pipes full."""

HUB_SECONDS = _size("HUB_SECONDS", 6, 60)
"""How long one hub is blocked."""

STRIKE_PAUSE = _size("STRIKE_PAUSE", 1, 10)
"""Seconds between two of these, on average."""

FLEET_SECONDS = _size("FLEET_SECONDS", 0, 600)
FLEET_WORKERS = int(_size("FLEET_WORKERS", 10, 200))
FLEET_HOSTS = int(_size("FLEET_HOSTS", 4, 40))

TIMEOUT = _size("TIMEOUT", 150, 7200)
"""Seconds for one test."""
