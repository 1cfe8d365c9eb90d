from __future__ import annotations

import json

from taskd.maintenance.sources import add_source
from taskd.maintenance.stack_text import read_stacks

FROM_C = """\
Thread 0x00000000000000ff (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x0000000000000010 (most recent call first):
  File "/srv/shop/render.py", line 88 in layout
  File "/srv/shop/render.py", line 12 in page
  File "/x/taskd/tasks/run.py", line 119 in task shop.render.page
  File "/x/taskd/pool/slots.py", line 178 in seat 7
"""


def test_lines_of_json_are_taken_as_they_are() -> None:
    stack = {"job": 1, "frames": [["/a.py", 1, "f"]]}

    assert read_stacks(f"{json.dumps(stack)}\n{FROM_C}") == [stack]


def test_what_faulthandler_writes_is_turned_round_and_cut_at_the_task() -> None:
    other, current = read_stacks(FROM_C)

    assert (current["task"], current["seat"], current["runs"]) == ("shop.render.page", 7, True)
    assert current["frames"] == [
        ["/srv/shop/render.py", 12, "page"],
        ["/srv/shop/render.py", 88, "layout"],
    ]
    assert (other["task"], other["runs"], other["who"]) == (None, False, "thread 255")


def test_a_text_that_is_cut_off_gives_what_is_whole() -> None:
    assert read_stacks(FROM_C[:60]) == []
    assert read_stacks('{"job": 1, "fra') == []


def test_the_source_of_a_frame_is_read_if_it_is_a_file() -> None:
    frames = [[__file__, 1, "f"], ["<string>", 1, "g"], ["/nowhere.py", 3, "h"], ["rel.py", 1, "i"]]

    ((shown,),) = ([one["frames"] for one in add_source([{"frames": frames}])],)

    assert [frame["code"] for frame in shown] == ["from __future__ import annotations", "", "", ""]
