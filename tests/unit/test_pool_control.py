from __future__ import annotations

import os
import socket

import pytest

from taskd.pool import control


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_a_descriptor_comes_along_with_its_message(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    with ours, theirs:
        readable, writable = os.pipe()
        socket.send_fds(ours, [b'{"op": "fork"}'], [readable])

        received = control.receive(theirs)

    assert received is not None
    message, (fd,) = received
    assert message == {"op": "fork"}
    os.write(writable, b"x")
    assert os.read(fd, 1) == b"x"
    for one in (readable, writable, fd):
        os.close(one)


def test_a_closed_socket_is_the_end(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.close()

    with theirs:
        assert control.receive(theirs) is None


def test_a_long_list_of_tasks_is_told_in_parts_that_fit(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    tasks = [{"name": f"shop.task_{n}", "doc": "x" * 1000} for n in range(100)]

    with ours, theirs:
        control.send_tasks(ours, {"op": "ready"}, tasks)
        messages: list[control.Message] = []
        while not messages or messages[-1]["op"] != "ready":
            received = control.receive(theirs)
            assert received is not None
            messages.append(received[0])

    assert [m["op"] for m in messages] == ["tasks", "ready"]
    assert [t for m in messages for t in m["tasks"]] == tasks
