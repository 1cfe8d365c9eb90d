"""Reads what a worker has written on its sheet: lines of JSON, or what faulthandler writes.

Current thread 0x00007f… (most recent call first):
  File "/usr/lib/python3.11/json/decoder.py", line 353 in raw_decode
  File "/srv/shop/render.py", line 88 in layout
  File "…/taskd/tasks/run.py", line 119 in task shop.render.page
  …
  File "…/taskd/pool/slots.py", line 178 in seat 7
"""

from __future__ import annotations

import json
import re
from typing import Any

from taskd.tasks.frames import SEAT, TASK

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$')
_HEADING = re.compile(r"^(?P<which>Current thread|Thread|Stack) ?(?P<ident>0x[0-9a-f]+)?.*:$")


def read_stacks(text: str) -> list[dict[str, Any]]:
    """The stacks, as taskd.pool.standing describes them; of C, with the `seat` if it is known."""
    lines = text.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return told or _from_c(lines)


def _from_c(lines: list[str]) -> list[dict[str, Any]]:
    stacks: list[dict[str, Any]] = []
    frames: list[re.Match[str]] = []
    for line in lines:
        if heading := _HEADING.match(line):
            frames = []
            is_current = heading["which"] != "Thread"
            who = f"thread {int(heading['ident'] or '0', 16)}"
            stacks.append({"who": who, "runs": is_current, "frames": frames})
        elif stacks and (frame := _FRAME.match(line)):
            frames.append(frame)
    return [_whose(stack) for stack in stacks if stack["frames"]]


def _whose(stack: dict[str, Any]) -> dict[str, Any]:
    names = [frame["name"] for frame in stack["frames"]]
    at = next((i for i, name in enumerate(names) if name.startswith(TASK)), None)
    seat = next((name for name in names if name.startswith(SEAT)), None)
    own = stack["frames"][:at]
    return {
        "job": None,
        "task": None if at is None else names[at].removeprefix(TASK),
        "seconds": None,
        "who": stack["who"],
        "runs": stack["runs"],
        "seat": None if seat is None else int(seat.removeprefix(SEAT)),
        "frames": [[one["file"], int(one["line"]), one["name"]] for one in reversed(own)],
    }
