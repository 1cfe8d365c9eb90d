"""Maintenance without a database: it beats, and writes down all that it hears."""

from __future__ import annotations

import json
import socket
from time import monotonic_ns
from typing import Any

from taskd.board import Board
from tests.process.fakes.stage import Stage

TURN_SECONDS = 0.02
DSN = "the database"
LAST_WORDS = {
    "refuses": {"op": "fatal", "error": "password authentication failed"},
    "fails": {"op": "failed", "error": "No module named 'psycopg'"},
}


def run_maintenance(board: Board, order: dict[str, Any], control: socket.socket) -> int:
    """Act as the file `maintenance` says: well, waits, silent, refuses, fails, dies, stays."""
    stage = Stage.of_this_process()
    stage.note("maintenance", "started", dead=order["dead_incarnations"])
    control.settimeout(TURN_SECONDS)
    is_ready = False
    while True:
        word = stage.word("maintenance")
        if word != "silent":
            board.maintenance_beat = monotonic_ns()
        if word in LAST_WORDS:
            _send(control, **LAST_WORDS[word])
        if word in (*LAST_WORDS, "dies"):
            return 1
        if word == "waits":
            _send(control, "waiting", error="connection refused")
        elif not is_ready:
            is_ready = True
            _be_ready(control, order)
        _say_what_the_test_wants(stage, control)
        op = _hear(stage, control)
        if op == "nobody" or (op == "stop" and word != "stays"):
            return 0


def _be_ready(control: socket.socket, order: dict[str, Any]) -> None:
    for dead in order["dead_incarnations"]:
        _send(control, "rescued", incarnation=dead)
    _send(control, "ready", host=1, dsn=DSN, notes=["the data is here"])


def _hear(stage: Stage, control: socket.socket) -> str:
    """Note the next message, if one comes soon; its `op`."""
    try:
        data, fds, _, _ = socket.recv_fds(control, 1 << 20, 1)
    except TimeoutError:
        return "nothing"
    except ConnectionError:
        data, fds = b"", []
    if not data:
        stage.note("maintenance", "lost its master")
        return "nobody"
    message = json.loads(data)
    op: str = message.pop("op")
    for fd in fds:
        with open(fd) as file:
            file.seek(0)
            message[op] = file.read()
    stage.note("maintenance", "heard", op=op, told=message)
    return op


def _send(control: socket.socket, op: str, **fields: Any) -> None:
    control.send(json.dumps({"op": op, **fields}).encode())


def _say_what_the_test_wants(stage: Stage, control: socket.socket) -> None:
    path = stage.folder / "say"
    if path.exists():
        message = path.read_text()
        path.unlink()
        control.send(message.encode())
