from __future__ import annotations

import socket
import threading

from taskd.pool.preflight import find_leftovers, open_sockets


def test_a_process_that_left_nothing_open_can_fork() -> None:
    assert find_leftovers(open_sockets()).sockets == ()


def test_a_socket_is_named_by_where_it_leads() -> None:
    before = open_sockets()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            found = find_leftovers(before)

    assert found.sockets == (f"bound to 127.0.0.1:{port}", f"connected to 127.0.0.1:{port}")
    assert not found.can_fork


def test_a_thread_is_named() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="price feed")
    thread.start()

    found = find_leftovers(open_sockets())
    done.set()
    thread.join()

    assert "price feed" in found.threads
    assert not found.can_fork
