"""dramatiq's actors; the socket of Redis is BENCH_REDIS."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers import work

_URL = f"unix://{os.environ['BENCH_REDIS']}"

_broker = RedisBroker(url=_URL)
if work.keeps_history():
    _broker.add_middleware(Results(backend=RedisBackend(url=_URL), store_results=True))
dramatiq.set_broker(_broker)


@dramatiq.actor(queue_name="bench")
def noop(_: float) -> None:
    work.noop()


@dramatiq.actor(queue_name="bench")
def nap(seconds: float) -> None:
    work.nap(seconds)


@dramatiq.actor(queue_name="bench")
def stamp(sent: float) -> None:
    work.stamp(sent)


_ACTORS = {"noop": noop, "nap": nap, "stamp": stamp}


def prepare() -> None:
    """Redis needs nothing."""


def enqueue(task: str, argument: float) -> None:
    _ACTORS[task].send(argument)


def enqueue_each(task: str, argument: float, count: int) -> None:
    for _ in range(count):
        enqueue(task, argument)


enqueue_many = enqueue_each
"""It has no way to send many at once."""
