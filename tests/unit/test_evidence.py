"""What the master reads from a worker's stack."""

from __future__ import annotations

import sysconfig

from taskd.supervisor.evidence import Evidence, others_of, read_crash, read_evidence, stack_of

LIBRARY = sysconfig.get_path("stdlib")
USER = '  File "/srv/shop/render.py", line 88 in layout\n'
JSON = f'  File "{LIBRARY}/json/decoder.py", line 353 in raw_decode\n'
TASK = '  File "/venv/taskd/tasks/run.py", line 119 in task shop.render.page\n'
RUN = '  File "/venv/taskd/tasks/run.py", line 93 in run_attempt\n'
SEAT = '  File "/venv/taskd/pool/slots.py", line 178 in seat 2\n'
HEAD = "Stack (most recent call first):\n"
DUMP = HEAD + JSON + USER + TASK + RUN + SEAT
JOBS = [10, 11, 12, 13]
WHO = Evidence(12, "shop.render.page", "/srv/shop/render.py:88 in layout")
WAITING = """
job 11 (shop.nap), running for 2.0 s:
  File "/srv/shop/nap.py", line 3, in nap
    time.sleep(5)

job 13 (shop.fetch), running for 0.5 s:
  File "/srv/shop/fetch.py", line 9, in fetch
    get(url)

<Greenlet at 0x7f0: _run>:
  File "/venv/taskd/pool/pulse.py", line 40, in _run
    gevent.sleep(1)
"""


def test_a_stack_from_c_names_the_job_of_the_seat_and_the_users_innermost_line() -> None:
    assert read_evidence(DUMP, JOBS) == WHO


def test_what_python_says_goes_before_the_seat() -> None:
    text = f"{HEAD}{USER}job 77 shop.other\n"

    assert read_evidence(text, JOBS) == Evidence(77, "shop.other", WHO.place)


def test_python_in_no_job_says_so() -> None:
    assert read_evidence(f"{HEAD}{USER}no job\n", JOBS) == Evidence(0, "", WHO.place)


def test_a_stack_of_no_job_may_be_one_that_is_not_written_to_its_end() -> None:
    assert read_evidence(HEAD + USER, JOBS) == Evidence(0, "", WHO.place, is_whole=False)


def test_a_seat_between_two_jobs_blames_none() -> None:
    assert read_evidence(HEAD + RUN + SEAT, JOBS).job == 0  # type: ignore[union-attr]


def test_half_a_stack_never_names_a_job() -> None:
    halves = [read_evidence(DUMP[:length], JOBS) for length in range(len(DUMP))]

    assert {(half.job, half.is_whole) for half in halves if half is not None} == {(0, False)}


def test_a_task_in_a_library_is_shown_where_it_is_not_where_it_calls() -> None:
    installed = f'  File "{sysconfig.get_path("purelib")}/shop/tasks.py", line 5 in page\n'

    found = read_evidence(HEAD + JSON + installed + TASK + RUN + SEAT, JOBS)

    assert found is not None
    assert found.place.endswith("shop/tasks.py:5 in page")


def test_nothing_written_is_no_evidence() -> None:
    assert read_evidence("", JOBS) is None
    assert read_evidence(WAITING, JOBS) is None


def test_the_stack_of_the_job_that_computes_is_without_the_workers_frames() -> None:
    assert stack_of(DUMP + WAITING, 12) == (HEAD + JSON + USER).rstrip()


def test_the_stack_of_a_job_that_waits_is_the_one_below_its_heading() -> None:
    stack = stack_of(DUMP + WAITING, 11)

    assert stack.splitlines()[0] == "job 11 (shop.nap), running for 2.0 s:"
    assert stack.splitlines()[-1].strip() == "time.sleep(5)"


def test_the_others_are_the_jobs_that_wait() -> None:
    others = others_of(DUMP + WAITING, 11)

    assert "job 13" in others
    assert "job 11" not in others
    assert "Greenlet at" not in others


FATAL = f"Fatal Python error: Segmentation fault\n\n{HEAD}"
MODULES = "\nExtension modules: gevent.libev.corecext, greenlet._greenlet (total: 2)\n"


def test_a_crash_tells_what_it_was_and_where_the_job_of_the_seat_stood() -> None:
    found = read_crash(FATAL + JSON + USER + TASK + RUN + SEAT + MODULES, JOBS)

    assert found == (12, ("Segmentation fault\n" + HEAD + JSON + USER).rstrip())


def test_a_crash_in_a_process_worker_is_of_its_one_job() -> None:
    job, stack = read_crash(FATAL + USER + TASK + RUN, [0, 14])

    assert (job, USER.strip() in stack) == (14, True)


def test_a_crash_too_deep_to_be_written_whole_is_of_the_one_job_that_ran() -> None:
    deep = FATAL + USER * 100 + "  ...\n"

    assert read_crash(deep, [0, 14])[0] == 14
    assert read_crash(deep, [13, 14])[0] == 0
    assert read_crash(deep, [0, 0])[0] == 0


def test_a_crash_outside_of_all_tasks_is_of_no_job() -> None:
    assert read_crash(FATAL + JSON, [14])[0] == 0


def test_a_worker_that_wrote_nothing_or_something_else_has_no_stack() -> None:
    assert read_crash("", JOBS) == read_crash(DUMP, JOBS) == (0, "")
