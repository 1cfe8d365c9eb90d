from __future__ import annotations

from taskd.store import hosts, jobs, questions, retention
from taskd.store.connect import Connection
from taskd.store.questions import HEAP, STACKS
from tests.store.makers import add_host, add_jobs, add_worker, claim


def test_a_question_is_taken_once_by_those_that_it_is_for(connection: Connection) -> None:
    host = add_host(connection)
    first, other = add_worker(connection, host), add_worker(connection, host)

    asked = questions.ask_workers(connection, HEAP, [other, first], 2.5)

    taken = questions.take_questions(connection, [first])
    assert taken == [(asked[1], HEAP, first, 2.5)]
    assert questions.take_questions(connection, [first]) == []
    assert [one.id for one in questions.take_questions(connection, [other])] == [asked[0]]


def test_a_worker_that_takes_its_orders_leaves_questions_alone(connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))
    (job,) = add_jobs(connection)
    claim(connection, worker)
    jobs.cancel_jobs(connection, [job])
    asked = questions.ask_workers(connection, STACKS, [worker])

    taken = hosts.take_requests(connection, [worker])

    assert [order.kind for order in taken] == ["cancel"]
    assert [one.id for one in questions.take_questions(connection, [worker])] == asked


def test_an_answer_is_there_for_all_who_asked_and_its_questions_are_gone(
    connection: Connection,
) -> None:
    worker = add_worker(connection, add_host(connection))
    asked = [questions.ask_workers(connection, STACKS, [worker])[0] for _ in range(2)]

    questions.answer_questions(connection, asked, "{}")

    assert questions.fetch_answers(connection, asked) == dict.fromkeys(asked, "{}")
    assert questions.take_questions(connection, [worker]) == []


def test_who_waits_no_more_leaves_nothing_behind(connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))
    asked = questions.ask_workers(connection, STACKS, [worker] * 2)
    questions.answer_questions(connection, asked[:1], "{}")

    questions.forget_questions(connection, asked)
    questions.answer_questions(connection, asked, "{}")

    assert questions.take_questions(connection, [worker]) == []
    assert questions.fetch_answers(connection, asked) == {}


def test_old_answers_go_with_the_next_one_and_with_pruning(connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))
    old, new, last = questions.ask_workers(connection, STACKS, [worker] * 3)
    age = "UPDATE taskd.answer SET answered_at = answered_at - interval '1 hour'"
    questions.answer_questions(connection, [old], "{}")
    connection.execute(age)

    questions.answer_questions(connection, [new], "{}")
    assert list(questions.fetch_answers(connection, [old, new])) == [new]

    connection.execute(age)
    retention.prune_records(connection, 3600.0)
    assert questions.fetch_answers(connection, [new, last]) == {}


def test_the_worker_of_a_job_is_found_while_it_runs(connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))
    running, waiting = add_jobs(connection, 2)
    claim(connection, worker, count=1)

    assert questions.find_worker_of(connection, running) == worker
    assert questions.find_worker_of(connection, waiting) is None
    (named,) = questions.list_named_workers(connection)
    assert (named.id, named.is_silent) == (worker, False)
