from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from taskd.pool import stderr

DUMP = "where it stands\n" * 30_000


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """What is read from, and what is written to without blocking."""
    if request.param == "pipe":
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_dump_that_is_read_arrives_whole(ends: tuple[int, int]) -> None:
    reading, writing = ends
    read = bytearray()

    def drain() -> None:
        while len(read) < len(DUMP):
            read.extend(os.read(reading, 65536))

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    stderr.write(writing, DUMP)
    reader.join(5)

    assert read.decode() == DUMP


def test_a_dump_that_nobody_reads_is_dropped_soon(ends: tuple[int, int]) -> None:
    _, writing = ends
    began = time.monotonic()

    stderr.write(writing, DUMP)

    assert time.monotonic() - began < 10 * stderr.PATIENCE_SECONDS


def test_a_descriptor_that_a_job_has_closed_does_no_harm() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stderr.write(writing, DUMP)
    os.close(writing)

    stderr.write(writing, DUMP)
