"""What a worker's stack tells about the job that computes there: pure.

Stack (most recent call first):
  File "/usr/lib/python3.11/json/decoder.py", line 353 in raw_decode
  File "/srv/shop/render.py", line 88 in layout            ← where people look
  File "…/taskd/tasks/run.py", line 119 in task shop.render.page
  …
  File "…/taskd/pool/slots.py", line 178 in seat 7
job 4711 shop.render.page                                  ← from the handler, if Python ran on
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import taskd
from taskd.tasks.frames import SEAT, TASK

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)
_CRASH = re.compile(
    r"^Fatal Python error: (?P<what>[^\n]*)\n.*?\(most recent call first\):\n",
    re.MULTILINE | re.DOTALL,
)
_CUT = "\n  ...\n"
_JOB = re.compile(r"^(?:job (?P<job>\d+) (?P<task>.*)|no job)$", re.MULTILINE)
_WAITING = re.compile(r"job \d+ \(.*\), running for ")
_RUN, _SLOTS = "taskd/tasks/run.py", "taskd/pool/slots.py"
_FIRST_LINE = "Stack (most recent call first):\n"
_TASKD = f"{os.path.dirname(taskd.__file__)}/"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who computes. `job` is 0 if it is no job's own greenlet, `task` empty likewise.

    `place` is `file:line in function`: of the innermost frame that is the user's own.
    """

    job: int
    task: str
    place: str
    is_whole: bool = True
    """Whether it says itself that nothing is to follow."""


def read_evidence(text: str, jobs: Sequence[int]) -> Evidence | None:
    """Read what the worker has written; `jobs` are those of its seats. None: nothing yet."""
    text = text[: text.rfind("\n") + 1]  # faulthandler writes word by word
    frames = [match.groupdict() for match in _FRAME.finditer(_first_stack(text))]
    if not frames:
        return None
    said = _JOB.search(text)
    task = next((i for i, frame in enumerate(frames) if _is(frame, _RUN, TASK)), None)
    own = frames if task is None else frames[:task]
    place = _place(own or frames)
    if said is not None:
        return Evidence(int(said["job"] or 0), said["task"] or "", place)
    seat = next((frame["name"] for frame in frames if _is(frame, _SLOTS, SEAT)), None)
    if task is None or seat is None:
        return Evidence(0, "", place, is_whole=False)
    number = int(seat.removeprefix(SEAT))
    job = jobs[number] if number < len(jobs) else 0
    return Evidence(job, frames[task]["name"].removeprefix(TASK), place)


def stack_of(text: str, job: int) -> str:
    """The stack of one job, out of all that a worker has written; empty if it is not there."""
    waiting = next((one for one in _waiting(text) if one.startswith(f"job {job} (")), None)
    return waiting if waiting is not None else _of_the_task(_first_stack(text)).strip("\n")


def read_crash(text: str, jobs: Sequence[int]) -> tuple[int, str]:
    """Whose code crashed a worker and where it stood: the job, 0 if it is not known, and the stack.

    `text` is what faulthandler wrote as the worker died, `jobs` are those of its seats.
    """
    crash = _CRASH.search(text)
    if crash is None:
        return 0, ""
    stack = _FIRST_LINE + text[crash.end() :]
    evidence = read_evidence(stack, jobs)
    job = evidence.job if evidence is not None else 0
    running = [one for one in jobs if one]
    if not job and len(running) == 1 and (f" in {TASK}" in stack or _CUT in stack):
        job = running[0]  # a process worker has no frame of a seat, and endless recursion no last
    own = _of_the_task(_first_stack(stack)).strip("\n")
    return job, f"{crash['what']}\n{own}" if own else ""


def others_of(text: str, job: int) -> str:
    """Where the other jobs wait, each with its heading."""
    return "\n\n".join(one for one in _waiting(text) if not one.startswith(f"job {job} ("))


def _of_the_task(stack: str) -> str:
    """Without the frames of the worker, which come last."""
    lines = stack.splitlines(keepends=True)
    worker = next((i for i, line in enumerate(lines) if f" in {TASK}" in line), len(lines))
    return "".join(lines[:worker])


def _waiting(text: str) -> list[str]:
    """The stacks of jobs that wait, as `format_stacks` in the pool has written them."""
    return [part.strip("\n") for part in text.split("\n\n") if _WAITING.match(part.lstrip("\n"))]


def _first_stack(text: str) -> str:
    """What faulthandler wrote: the stack that was running."""
    start = text.find(_FIRST_LINE)
    if start < 0:
        return ""
    lines = text[start + len(_FIRST_LINE) :].splitlines(keepends=True)
    frames = []
    for line in lines:
        if not line.startswith("  "):
            break
        frames.append(line)
    return _FIRST_LINE + "".join(frames) if frames else ""


def _is(frame: dict[str, str], file: str, prefix: str) -> bool:
    return frame["file"].endswith(file) and frame["name"].startswith(prefix)


def _place(frames: Sequence[dict[str, str]]) -> str:
    """The innermost frame outside of libraries, or else beside the task's own function."""
    users = [frame for frame in frames if not frame["file"].startswith(_TASKD)] or frames
    beside = os.path.dirname(users[-1]["file"])
    own = [frame for frame in users if not frame["file"].startswith((*_libraries(), "<"))]
    near = [frame for frame in users if os.path.dirname(frame["file"]) == beside]
    frame = (own or near)[0]
    return f"{frame['file']}:{frame['line']} in {frame['name']}"


@cache
def _libraries() -> tuple[str, ...]:
    """The folders of what is installed."""
    import sysconfig  # its tables take memory, and few masters ever have to look into a stack

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({f"{sysconfig.get_path(name)}/" for name in names})
