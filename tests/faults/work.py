"""The tasks of the fault runs: each execution says in the ledger that it has begun.

The row is written in a transaction of its own before anything else is done, so an execution whose
end counts has always left one. `ledger.booking` is for what must be there exactly once.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from functools import cache
from typing import Any

import psycopg
from gevent import monkey

from taskd import Retry, current_job, exclusive, limit, task

_BEGIN = "INSERT INTO ledger.effect (id, attempt, fence, pid) VALUES (%s, %s, %s, %s)"
_BOOK = "INSERT INTO ledger.booking (id, fence) VALUES (%s, %s)"

_LOG = logging.getLogger(__name__)

# For runs of very many jobs whose server nothing happens to: a connection for each job takes most
# of their time.
_KEEPS_CONNECTION = "FAULTS_KEEPS_CONNECTION" in os.environ

# The ledger is in the database that is struck: what cannot write into it tries again later.
PATIENT = Retry(10_000, delay=0.2, backoff=lambda retry: 0.2)


def begin() -> None:
    """Leave a row for this execution."""
    job = current_job()
    with nullcontext(_kept()) if _KEEPS_CONNECTION else _connect() as connection:
        connection.execute(_BEGIN, [job.id, job.attempt, job._attempt.fence, os.getpid()])


def _connect() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["FAULTS_LEDGER"], autocommit=True, connect_timeout=5)


@cache
def _kept() -> psycopg.Connection[Any]:
    """The one connection of all jobs in this process."""
    return _connect()


@task(retry=PATIENT)
def note(seconds: float) -> None:
    begin()
    time.sleep(seconds)


@task(retry=PATIENT)
def talk(seconds: float) -> None:
    """Print and log more than a small pipe holds."""
    begin()
    for number in range(20):
        print(f"{number} of a talkative job", "." * 200, flush=True)
        _LOG.warning("%s of a talkative job", number)
    time.sleep(seconds)


@task(retry=PATIENT)
def block(seconds: float) -> None:
    """Let nobody else of this worker go on."""
    begin()
    monkey.get_original("time", "sleep")(seconds)


@task(retry=PATIENT)
def book(seconds: float) -> None:
    begin()
    job = current_job()
    with job.transaction() as transaction:
        transaction.connection.execute(_BOOK, [job.id, job._attempt.fence])
        time.sleep(seconds / 5)


@task(retry=PATIENT, resources=lambda seconds, shelf: [exclusive(f"shelf:{shelf}")])
def hold(seconds: float, shelf: int) -> None:
    begin()
    time.sleep(seconds / 10)


@task(retry=PATIENT, unique=lambda seconds, key: f"once-{key}")
def once(seconds: float, key: int) -> None:
    """One of each key, until it has ended."""
    begin()
    time.sleep(seconds)


@task(retry=PATIENT, concurrency=4, resources=[limit("desk", concurrency=3)])
def few(seconds: float) -> None:
    begin()
    time.sleep(seconds / 10)


@task(retry=PATIENT)
def gather(seconds: float) -> None:
    """What comes after others."""
    begin()


@task(retry=PATIENT, queue="cpu")
def compute(seconds: float) -> None:
    begin()
    end = time.monotonic() + seconds / 50
    while time.monotonic() < end:
        pass
