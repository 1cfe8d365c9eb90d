"""The seed, and what is forked from it."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any

from taskd.board import Board
from taskd.pool import spawn
from tests.process.fakes.maintenance import run_maintenance
from tests.process.fakes.stage import Stage
from tests.process.fakes.worker import run_worker

SYNTAX_ERROR = "shop.py:6: SyntaxError: invalid syntax"


def send(control: socket.socket, op: str, **fields: Any) -> None:
    control.send(json.dumps({"op": op, **fields}).encode())


def receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order and the descriptors that came along; None when nobody is there."""
    try:
        data, fds, _, _ = socket.recv_fds(control, 1 << 20, 2)
    except ConnectionError:
        return None
    return (json.loads(data), fds) if data else None


def run_seed(kind: str, fd: str) -> int:
    with os.fdopen(int(fd)) as file:
        birth = json.load(file)
    spawn.die_with_master(birth["master"], signal.SIGKILL)
    spawn.ignore_orders()
    stage = Stage.of_this_process()
    control = socket.socket(fileno=birth["control_fd"])
    stage.note("seed", "started", kind=kind)
    if stage.word("seed") == "fails":
        send(control, "failed", error="No module named 'gevent'", outdated=False)
        return 70
    if stage.word("seed") == "is of another version":
        send(control, "failed", error="taskd 9 is installed: restart the daemon", outdated=True)
        return 70
    send(control, "ready")
    while (order := receive(control)) is not None:
        _obey(birth, control, *order)
    return 0


def _obey(
    birth: dict[str, Any], control: socket.socket, order: dict[str, Any], fds: list[int]
) -> None:
    roles = {"maintenance": _be_maintenance, "forkserver": _be_forkserver}

    def live() -> int:
        control.close()
        return roles[order["role"]](birth, order, fds[0])

    spawn.fork_below_master(
        birth["master"],
        live,
        lambda pid: send(control, "forked", key=order["key"], pid=pid),
    )
    for fd in fds:
        os.close(fd)


def _be_maintenance(birth: dict[str, Any], order: dict[str, Any], fd: int) -> int:
    spawn.ignore_orders()
    board = Board.attach(birth["board_fd"])
    return run_maintenance(board, order, socket.socket(fileno=fd))


def _be_forkserver(birth: dict[str, Any], order: dict[str, Any], fd: int) -> int:
    spawn.die_with_master(birth["master"], signal.SIGKILL)
    spawn.ignore_orders()
    stage, control = Stage.of_this_process(), socket.socket(fileno=fd)
    about = {name: order[name] for name in ("pool", "generation", "late")}
    stage.note("forkserver", "started", **about)
    word = stage.word_other_than("waits", f"forkserver-{order['pool']}", "forkserver")
    if word == "fails":
        send(control, "failed", error=SYNTAX_ERROR)
        return 0
    tasks = [{"task": "shop.add"}]
    if word == "unsuitable" and not order["late"]:
        send(control, "unsuitable", found=["thread worker-1"], tasks=tasks)
        return 0
    send(control, "ready", tasks=[] if order["late"] else tasks)
    while (told := receive(control)) is not None:
        stage.note("forkserver", "heard", op=told[0]["op"])
        if told[0]["op"] == "fork" and stage.word("fork") != "swallow":
            _fork_worker(birth, control, order["pool"], told[0])
    return 0


def _fork_worker(
    birth: dict[str, Any], control: socket.socket, pool: str, order: dict[str, Any]
) -> None:
    def live() -> int:
        control.close()
        return run_worker(birth, pool, order)

    spawn.fork_below_master(
        birth["master"],
        live,
        lambda pid: send(control, "forked", slot=order["slot"], pid=pid),
    )
