"""A network of its own for a host, whose link can be taken down.

our namespace ── 10.213.7.1 ══ veth ══ 10.213.7.2 ── the host's namespace
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import install

OURS, THEIRS = "10.213.7.1", "10.213.7.2"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace; `prefix` are the words that run a command in it."""

    name: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def set_link(self, state: str) -> None:
        """Take the link "down" or "up", at the host's end: at ours our address would go with it."""
        _ip("-n", self.name, "link", "set", "eth0", state)


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    """Skips the test where none can be made."""
    install("iproute2", Path(shutil.which("ip") or "/usr/sbin/ip"))
    name = f"taskd-faults-{os.getpid()}"
    link = f"tf{os.getpid()}"[:14]
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"needs a network namespace, as root may make: {made.stderr}")
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{OURS}/30", "dev", link)
        _ip("link", "set", link, "up")
        for words in (
            ("addr", "add", f"{THEIRS}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", name, *words)
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "link", "del", link], capture_output=True)
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    ran = subprocess.run(["ip", *words], capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip(f"`ip {' '.join(words)}` does not work here: {ran.stderr}")
