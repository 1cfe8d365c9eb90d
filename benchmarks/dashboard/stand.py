"""A dashboard on a database, and asking it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from benchmarks.daemon import PATIENCE

TIMEOUT = 60.0


@contextmanager
def dashboard(dsn: str) -> Iterator[str]:
    """`taskd dashboard` on a free port of loopback, until the block ends; its address."""
    with dashboard_process(dsn) as (url, _):
        yield url


@contextmanager
def dashboard_process(dsn: str) -> Iterator[tuple[str, int]]:
    """The same, with its pid."""
    command = [sys.executable, "-m", "taskd", "--database", dsn]
    command += ["dashboard", "--listen", "127.0.0.1:0"]
    with tempfile.TemporaryDirectory(prefix="taskd-bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield _address(log, process), process.pid
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        words = log.read_text().split()
        found = [word.rstrip(";,") for word in words if word.startswith("http://127.0.0.1:")]
        if found:
            return found[0].rstrip("/")
        time.sleep(0.05)
    raise SystemExit(f"the dashboard did not start:\n{log.read_text()[-3000:]}")


def ask(url: str) -> Any:
    """What an address answers, as JSON."""
    with urlopen(url, timeout=TIMEOUT) as answer:
        return json.load(answer)


def seconds_of(url: str) -> float:
    """How long an address takes until its answer has been read."""
    began = time.perf_counter()
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            answer.read()
    except HTTPError as error:
        raise SystemExit(f"{url}: {error} {error.read().decode()}") from error
    return time.perf_counter() - began


def seconds_to_news(url: str) -> float:
    """How long it takes until a page that opens a stream of moments is shown the first."""
    began = time.perf_counter()
    with urlopen(url, timeout=TIMEOUT) as stream:
        while (line := stream.readline()) and line != b"event: overview\n":
            pass
        while line.strip():
            line = stream.readline()
    return time.perf_counter() - began
