from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from taskd.maintenance.control import Control

Pair = tuple[socket.socket, Control]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control = Control(theirs)
    with ours:
        yield ours, control
    control.close()


def test_each_message_arrives_whole(pair: Pair) -> None:
    master, control = pair

    control.send("ready", host=7, notes=("a", "b"))
    master.send(b'{"op": "tree"}')
    master.send(b'{"op": "stop"}')

    assert json.loads(master.recv(4096)) == {"op": "ready", "host": 7, "notes": ["a", "b"]}
    assert control.receive() == [({"op": "tree"}, []), ({"op": "stop"}, [])]


def test_a_master_that_does_not_read_blocks_nobody_and_gets_all_later(pair: Pair) -> None:
    master, control = pair
    count = 2000

    for number in range(count):
        control.send("waiting", error=str(number), padding="x" * 1000)
    received: list[str] = []
    while len(received) < count:
        received.append(json.loads(master.recv(4096))["error"])
        control.flush()

    assert received == [str(number) for number in range(count)]


def test_the_end_of_the_master_is_noticed_by_reading(pair: Pair) -> None:
    master, control = pair

    master.close()

    assert control.receive() == []
    assert control.is_closed


def test_sending_to_a_master_that_is_gone_is_harmless(pair: Pair) -> None:
    master, control = pair
    master.close()

    control.send("ready", host=1)

    assert control.is_closed
