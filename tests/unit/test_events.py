from __future__ import annotations

import pytest

from taskd.events import Event, counted
from taskd.pool.events import WorkerDrains
from taskd.supervisor.events import Said, WorkerDied, WorkerInterrupted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (10_000, "10,000 jobs")]
)
def test_a_number_goes_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "job") == text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            WorkerDied("io", 0, 7, "killed by SIGKILL", in_flight=1, pause=0.0),
            "io/0: pid 7 killed by SIGKILL; 1 job in flight goes back",
        ),
        (
            WorkerDied("io", 0, 7, "killed by SIGKILL", in_flight=2, pause=0.0),
            "io/0: pid 7 killed by SIGKILL; 2 jobs in flight go back",
        ),
        (WorkerInterrupted("io", 0, in_flight=1), "io/0: still runs 1 job, which is given back"),
        (WorkerInterrupted("io", 0, in_flight=2), "io/0: still runs 2 jobs, which are given back"),
        (WorkerDrains("io/0", "ordered", running=1), "worker io/0 drains (ordered): 1 job runs"),
    ],
    ids=lambda value: str(value) if isinstance(value, Event) else "",
)
def test_sentences_about_one_job_are_in_the_singular(event: Event, text: str) -> None:
    assert str(event) == text


def test_an_event_is_a_value() -> None:
    event = Said("hello")

    assert event == Said(text="hello") != Said("bye")
    assert hash(event) == hash(Said("hello"))
    assert repr(event) == "Said(text='hello')"
    assert vars(event) == {"text": "hello"}
    with pytest.raises(AttributeError, match="Said has happened: its text cannot be changed"):
        event.text = "bye"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), (("a", "b"), {}), (("a",), {"text": "b"}), ((), {"word": "a"})]
)
def test_an_event_takes_its_fields_alone_and_all_of_them(
    values: tuple[str, ...], named: dict[str, str]
) -> None:
    with pytest.raises(TypeError, match=r"Said takes: text$"):
        Said(*values, **named)
