"""What the mirror example says at its end, and while it runs."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from examples.mirror.mirror import Mirror
from examples.mirror.progress import Progress
from examples.mirror.summary import Summary, summarize


def summary(**fields: int) -> Summary:
    usual = {"files": 40, "size": 1000, "missing": 0, "seconds": 2.5, "status": 0}
    return Summary(mirror=Mirror(Path("/m")), project="click", **{**usual, **fields})  # type: ignore[arg-type]


def test_a_whole_mirror_says_how_to_install_from_it() -> None:
    whole = summary()

    assert whole.exit_status == 0
    assert list(whole.lines()) == [
        "40 files, 1,000 bytes, 2.5 seconds, 0 failures; the mirror is in /m",
        "try: pip install --no-deps --index-url file:///m/simple click",
    ]


@pytest.mark.parametrize(
    ("status", "was_told", "exit_status"),
    [(0, True, 0), (0, False, 1), (-9, False, 1), (-9, True, 1)],
    ids=["SIGTERM", "by itself", "SIGKILL", "SIGTERM, then SIGKILL"],
)
def test_what_was_stopped_has_not_failed_and_goes_on_next_time(
    status: int, was_told: bool, exit_status: int
) -> None:
    stopped = summary(files=10, missing=30, status=status, was_told=was_told)

    assert stopped.exit_status == exit_status
    assert list(stopped.lines()) == [
        "10 files, 1,000 bytes, 2.5 seconds, 0 failures; the mirror is in /m",
        "stopped before its end: 30 are still to come; run the same command again to go on",
    ]


def test_failures_are_counted_and_where_to_look_is_told() -> None:
    failed = summary(missing=2, status=1)

    assert failed.exit_status == 1
    assert list(failed.lines()) == [
        "40 files, 1,000 bytes, 2.5 seconds, 2 failures; the mirror is in /m",
        "jobs have failed: see `taskd jobs list --state failed`; "
        "run the same command again to try once more",
    ]


def test_jobs_that_another_mirror_left_do_not_fail_this_one() -> None:
    whole = summary(missing=0, status=1)

    assert whole.exit_status == 0
    assert list(whole.lines())[1] == (
        "all is there, but jobs that another run had left failed: "
        "see `taskd jobs list --state failed`"
    )


def test_a_project_may_be_asked_for_by_any_spelling_of_its_name(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    mirror.note_wanted("Types.PyYAML", [])

    assert summarize(mirror, ["types_pyyaml"], 1.0, 0).missing == 0


def test_what_an_earlier_run_listed_does_not_count(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    mirror.note_wanted("click", [])

    mirror.forget_wanted()

    assert summarize(mirror, ["click"], 1.0, 1).exit_status == 1


def test_a_folder_with_a_space_in_its_name_is_quoted() -> None:
    whole = Summary(
        mirror=Mirror(Path("/my mirror")),
        project="click",
        files=1,
        size=1,
        missing=0,
        seconds=1.0,
        status=0,
    )

    assert "--index-url file:///my%20mirror/simple click" in list(whole.lines())[1]


def test_a_line_of_the_log_takes_the_place_of_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)

    Progress(tmp_path, 3).show()

    assert terminal.getvalue().endswith("0/3 projects listed\r")
