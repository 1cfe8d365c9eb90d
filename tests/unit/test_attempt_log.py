"""What is kept of the log of one attempt, and when its progress is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.pool.attempt_log import LINE_BYTES, AttemptLog, size_of
from taskd.store.log_rows import Line
from taskd.tasks.context import JobAttempt

LIMIT = 4096


def attempt_log(limit: int = LIMIT) -> AttemptLog:
    return AttemptLog(JobAttempt(7, 70, 2, 3, "shop.sync"), limit)


def write(log: AttemptLog, text: str, *, may_wait: bool = True) -> None:
    log.write(1.0, 20, "shop", text, may_wait=may_wait)


def waiting(log: AttemptLog) -> list[Line]:
    return list(log.news(0.0, 1_000_000).lines)


def texts(log: AttemptLog) -> list[str]:
    return [line.text for line in waiting(log) if line.logger == "shop"]


def notes(log: AttemptLog) -> list[str]:
    return [line.text for line in waiting(log) if line.logger == "taskd"]


def test_what_fits_is_kept_whole_and_says_nothing_of_a_limit() -> None:
    log = attempt_log()
    for number in range(20):
        write(log, str(number))

    log.complete(may_wait=True)

    assert texts(log) == [str(number) for number in range(20)]
    assert notes(log) == []


def test_of_too_much_the_beginning_and_the_end_are_kept_and_the_rest_is_counted() -> None:
    log = attempt_log()
    for number in range(1000):
        write(log, f"{number:04}")
    head = texts(log)

    log.complete(may_wait=True)

    kept = texts(log)
    left_out = 1000 - len(kept)
    assert head == [f"{number:04}" for number in range(len(head))]
    assert kept[: len(head)] == head
    assert kept[len(head) :] == [f"{n:04}" for n in range(len(head) + left_out, 1000)]
    assert notes(log) == [
        "(the log is full: of what follows the last 1,024 bytes are kept, and shown when the "
        "attempt ends)",
        f"({left_out} lines were left out here, {4 * left_out:,} bytes)",
    ]


def test_a_hundred_thousand_lines_take_no_more_memory_than_the_limit() -> None:
    log = attempt_log(64 * 1024)

    for _ in range(100_000):
        write(log, "the same line again and again")

    log.complete(may_wait=True)
    assert sum(map(size_of, waiting(log))) < 64 * 1024 + 1024
    assert notes(log)[1].startswith(("(98,", "(99,"))


@given(st.lists(st.integers(0, 1500), max_size=60))
def test_whatever_is_written_a_prefix_and_a_suffix_within_the_limit_are_kept(
    sizes: list[int],
) -> None:
    log = attempt_log()
    written = [f"{number:03}" + "x" * size for number, size in enumerate(sizes)]
    for text in written:
        write(log, text)

    log.complete(may_wait=True)

    lines = [line for line in waiting(log) if line.logger == "shop"]
    kept = [line.text for line in lines]
    seqs = [line.seq for line in waiting(log)]
    assert seqs == sorted(set(seqs))
    assert sum(map(size_of, lines)) <= LIMIT
    assert any(
        kept == written[:cut] + written[len(written) - (len(kept) - cut) :]
        for cut in range(len(kept) + 1)
    )
    assert (len(kept) < len(written)) == any("left out" in note for note in notes(log))


def test_while_nobody_stores_new_lines_are_left_out_and_told() -> None:
    log = attempt_log()
    write(log, "before")

    write(log, "lost", may_wait=False)
    write(log, "after")
    log.complete(may_wait=True)

    assert texts(log) == ["before", "after"]
    assert notes(log) == ["(1 line was left out here, 4 bytes)"]


def test_an_end_while_nobody_stores_leaves_the_tail_out() -> None:
    log = attempt_log()
    for number in range(100):
        write(log, str(number))
    head = len(texts(log))

    log.complete(may_wait=False)

    assert len(texts(log)) == head
    assert f"({100 - head} lines were left out" in notes(log)[1]


def test_a_wide_text_counts_its_bytes() -> None:
    log = attempt_log()

    write(log, "\N{SNOWMAN}" * 10)

    assert log.waiting_bytes == LINE_BYTES + 30


def test_news_are_given_in_parts_and_the_last_one_says_so() -> None:
    log = attempt_log()
    for number in range(5):
        write(log, str(number))
    log.complete(may_wait=True)

    first = log.news(0.0, 3)
    log.stored(first, 0.0)
    second = log.news(0.0, 3)
    log.stored(second, 0.0)

    assert [line.text for line in (*first.lines, *second.lines)] == ["0", "1", "2", "3", "4"]
    assert (first.end, second.end) == (None, 6)
    assert log.waiting_bytes == 0


def test_what_is_said_while_news_are_under_way_waits_for_the_next() -> None:
    log = attempt_log()
    write(log, "first")
    log.say_progress(0.1, "")
    news = log.news(5.0, 100)

    write(log, "meanwhile")
    log.say_progress(0.2, "")
    log.stored(news, 5.0)

    assert texts(log) == ["meanwhile"]
    assert log.news(6.0, 100).progress == (0.2, "")


def test_progress_is_stored_once_a_second_and_lines_with_each_flush() -> None:
    log = attempt_log()
    assert log.due_at(10.0) is None

    log.say_progress(0.1, "a")
    assert log.due_at(10.0) == 10.0
    log.stored(log.news(10.0, 100), 10.0)
    assert log.due_at(10.5) is None

    log.say_progress(0.2, "b")
    assert log.due_at(10.5) == 11.0
    assert log.news(10.9, 100).progress is None
    assert log.news(11.0, 100).progress == (0.2, "b")

    write(log, "line")
    assert log.due_at(10.5) == 10.5


def test_the_last_progress_goes_with_the_end_however_soon() -> None:
    log = attempt_log()
    log.say_progress(0.1, "a")
    log.stored(log.news(10.0, 100), 10.0)

    log.say_progress(1.0, "all")
    log.complete(may_wait=True)

    assert log.news(10.1, 100).progress == (1.0, "all")


def test_progress_that_is_stored_is_told_again_at_the_end_so_that_it_stays_known() -> None:
    log = attempt_log()
    log.say_progress(0.1, "a")
    log.stored(log.news(10.0, 100), 10.0)

    log.complete(may_wait=True)

    assert log.news(20.0, 100).progress == (0.1, "a")
    assert log.news(20.0, 100).end == 1


@pytest.mark.parametrize("size", [0, LIMIT // 4, LIMIT, 10 * LIMIT])
def test_a_line_of_any_size_is_kept_or_counted(size: int) -> None:
    log = attempt_log()

    write(log, "x" * size)
    log.complete(may_wait=True)

    assert texts(log) == ["x" * size] or "1 line was left out" in notes(log)[-1]
