from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from taskd.errors import (
    JobFailed,
    JobUnknown,
    JobWasCancelled,
    NoResult,
    OptionInvalid,
    ResultNotReady,
)
from taskd.store.rows import State
from taskd.tasks.job import Job
from tests.unit.tasks_project import MemoryClient, job_row, memory_client


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    with memory_client() as made:
        yield made


def test_the_state_is_looked_up_until_it_is_final(client: MemoryClient) -> None:
    client.rows[1] = [job_row("queued"), job_row("running"), job_row("succeeded")]
    job: Job[None] = Job(1)

    assert [job.state for _ in range(3)] == ["queued", "running", "succeeded"]
    client.rows.clear()  # a final state is final: nobody asks again
    assert job.state is State.SUCCEEDED
    assert repr(job) == "<job 1 succeeded>"


def test_the_result_is_waited_for(client: MemoryClient) -> None:
    client.rows[1] = [job_row("queued"), job_row("running"), job_row("succeeded", result=[1])]

    assert Job(1).result(timeout=10) == [1]


def test_a_failed_job_raises_with_the_workers_traceback(client: MemoryClient) -> None:
    client.rows[1] = [job_row("failed", error="ValueError: boom", traceback="Traceback: here")]

    with pytest.raises(JobFailed) as failed:
        Job(1).result()

    assert str(failed.value) == "job 1 (shop.fetch) failed: ValueError: boom"
    assert "Traceback: here" in "".join(traceback.format_exception(failed.value))
    assert failed.value.error == "ValueError: boom"


def test_a_cancelled_job_raises_with_its_reason(client: MemoryClient) -> None:
    client.rows[1] = [job_row("cancelled", error="no longer wanted")]

    with pytest.raises(JobWasCancelled, match="was cancelled: no longer wanted"):
        Job(1).result()


def test_a_result_that_is_late_raises_a_timeout_error(client: MemoryClient) -> None:
    client.rows[1] = [job_row("running")]

    with pytest.raises(TimeoutError, match=r"job 1 is still running after 0\.02 s") as late:
        Job(1).result(timeout=0.02)
    with pytest.raises(ResultNotReady):
        Job(1).result(timeout=0)
    assert isinstance(late.value, NoResult)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_must_be_a_span_of_time(client: MemoryClient, timeout: float) -> None:
    with pytest.raises(OptionInvalid, match="timeout="):
        Job(1).result(timeout=timeout)


@pytest.mark.parametrize("number", ["7", 7.0, None, True, 0, -3, 2**63], ids=repr)
def test_what_is_no_id_is_refused(number: Any) -> None:
    with pytest.raises(OptionInvalid, match="is no id of a job"):
        Job(number)


def test_an_unknown_job_says_what_may_have_happened(client: MemoryClient) -> None:
    with pytest.raises(JobUnknown, match="has not committed"):
        _ = Job(5).state


def test_attempt_and_error_are_those_of_the_job(client: MemoryClient) -> None:
    client.rows[1] = [job_row("failed", attempt=3, error="x")]
    job: Job[None] = Job(1)

    assert (job.attempt, job.error) == (3, "x")


def test_handles_on_the_same_job_are_equal() -> None:
    assert {Job(1), Job(1), Job(2)} == {Job(2), Job(1)}
    assert Job(1) != 1
