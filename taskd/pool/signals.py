"""The signals that tell a process what to do."""

from __future__ import annotations

import signal

ORDERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Held back over a fork, and in a seed from its birth: what comes before a process has its handlers
waits until it has them."""
