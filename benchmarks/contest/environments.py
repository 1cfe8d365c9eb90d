"""A virtual environment a peer, made once and kept in a cache outside of the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.contest.failure import CaseFailed
from benchmarks.peers.peer import Peer

READY = "is-complete"


def programs_of(peer: Peer) -> Path:
    """The folder of the programs of a peer's environment, which is made unless it is there.

    taskd runs in the environment of this process. Raises CaseFailed when pip cannot install it.
    """
    if peer.folder == "taskd":
        return Path(sys.executable).parent
    place = cache() / f"{peer.folder}-{_fingerprint(peer)}"
    if not (place / READY).exists():
        shutil.rmtree(place, ignore_errors=True)
        _make(peer, place)
        (place / READY).touch()
    return place / "bin"


def cache() -> Path:
    """$TASKD_BENCH_CACHE, or taskd-bench in the user's cache."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taskd-bench"
    return Path(os.environ.get("TASKD_BENCH_CACHE") or usual)


def _fingerprint(peer: Peer) -> str:
    text = peer.requirements.read_text() + sys.version
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _make(peer: Peer, place: Path) -> None:
    print(f"{peer.folder}: making its environment in {place} …", file=sys.stderr, flush=True)
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", str(place)],
        [*pip, "--requirement", str(peer.requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).rsplit("\n", 1)[-1]
            raise CaseFailed(f"could not be installed: {last}")
