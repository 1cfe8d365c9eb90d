from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskd.errors import NotATask, OptionInvalid, TaskNameTaken
from taskd.tasks.registry import Registry, registry
from taskd.tasks.retry import Retry
from taskd.tasks.task import Task, task
from tests.unit.tasks_project import MemoryClient, UserCode, memory_client, user_code

SHOP = '''
from taskd import task, Retry

@task(queue="sync", priority=7, timeout=60, retry=Retry(max=5))
def fetch(url: str, n: int = 1) -> int:
    """Fetch a page.

    And more.
    """
    return len(url) * n

@task
def bare(a, b=2):
    return [a, b]

@task()
def empty(): ...

@task(name="mail")
def send(connection=None): ...
'''


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def shop(code: UserCode) -> Any:
    return code.module("tshop", SHOP)


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    with memory_client() as made:
        yield made


def test_a_task_stays_callable_as_the_plain_function_it_is(shop: Any) -> None:
    assert shop.fetch("ab", n=2) == 4
    assert shop.fetch.__name__ == "fetch"
    assert shop.fetch.__doc__.startswith("Fetch a page.")
    assert str(inspect.signature(shop.fetch)) == "(url: str, n: int = 1) -> int"


def test_a_task_is_named_by_its_dotted_path_unless_told_otherwise(shop: Any) -> None:
    assert shop.bare.name == "tshop.bare"
    assert shop.send.name == "mail"
    assert registry.find("tshop.bare") is shop.bare
    assert registry.find("mail") is shop.send
    assert repr(shop.bare) == "<task tshop.bare>"


def test_a_task_is_pickled_by_reference(shop: Any) -> None:
    assert pickle.loads(pickle.dumps(shop.fetch)) is shop.fetch


def test_options_with_and_without_parentheses(shop: Any) -> None:
    assert shop.fetch.defaults.queue == "sync"
    assert shop.fetch.defaults.retry == Retry(max=5)
    assert shop.bare.defaults == shop.empty.defaults
    assert shop.empty.defaults.retries == 0


def test_a_number_is_short_for_so_many_retries(code: UserCode) -> None:
    made = code.module("tshort", "from taskd import task\n@task(retry=3)\ndef f(): ...")

    assert made.f.defaults.retry == Retry(max=3)


def test_enqueue_stores_the_call_with_the_tasks_options(shop: Any, client: MemoryClient) -> None:
    job = shop.fetch.enqueue("u", n=2)

    (batch,) = client.batches
    assert job.id == 1
    assert (batch.task, batch.args, batch.kwargs) == ("tshop.fetch", ['["u"]'], ['{"n":2}'])
    assert (batch.queue, batch.priority, batch.timeout) == ("sync", 7, 60.0)
    assert (batch.max_attempts, batch.always_notify) == (6, False)


def test_options_of_one_enqueue_go_before_the_tasks(shop: Any, client: MemoryClient) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)

    shop.fetch.options(
        run_at=at, priority=2, queue="slow", timeout=None, retry=0, connection="conn"
    ).enqueue("u")

    (batch,) = client.batches
    assert (batch.queue, batch.priority, batch.timeout, batch.run_at) == ("slow", 2, None, at)
    assert (batch.max_attempts, batch.always_notify) == (1, True)
    assert client.connections == ["conn"]


def test_jobs_that_require_a_version_wait_in_a_part_of_their_queue(
    code: UserCode, client: MemoryClient
) -> None:
    new = code.module(
        "tnew",
        """
        from taskd import task

        @task(queue="sync", requires="v2")
        def fetch(url): ...
        """,
    )

    new.fetch.enqueue("u")
    new.fetch.options(queue="slow").enqueue("u")

    assert [batch.queue for batch in client.batches] == ["sync@v2", "slow@v2"]


def test_a_connection_is_no_argument_of_the_function(shop: Any, client: MemoryClient) -> None:
    shop.fetch.enqueue("u", connection="conn")

    assert client.connections == ["conn"]
    assert client.batches[0].kwargs == [None]


def test_a_function_with_a_parameter_named_connection_says_which_is_meant(
    shop: Any, client: MemoryClient
) -> None:
    with pytest.raises(OptionInvalid, match=r"\.options\(connection=…\)\.enqueue"):
        shop.send.enqueue(connection="conn")

    shop.send.options(connection="conn").enqueue(connection="smtp")
    assert client.batches[0].kwargs == ['{"connection":"smtp"}']


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"priority": 10}, "priority=10 is not between 0 and 9"),
        ({"priority": True}, "priority=True is not a whole number"),
        ({"priority": 1.0}, "priority=1.0 is not a whole number"),
        ({"timeout": 0}, "timeout=0 is not above 0"),
        ({"timeout": -1}, "timeout=-1 is not between"),
        ({"timeout": "60"}, "timeout='60' is not a number of seconds"),
        ({"queue": ""}, "queue='' is empty"),
        ({"queue": 5}, "queue=5 is no name"),
        ({"queue": "a\0"}, "queue='a\\x00' is no name for a queue"),
        ({"retry": -1}, "retry=-1 is not between 0"),
        ({"retry": "3"}, "retry='3' is not a whole number of retries"),
        ({"on_lost": "drop"}, 'on_lost=\'drop\' is neither "requeue" nor "fail"'),
        ({"on_interrupt": None}, 'on_interrupt=None is neither "requeue" nor "fail"'),
        ({"name": ""}, "name='' is no name"),
        ({"name": "a b"}, "name='a b' holds spaces"),
        ({"name": "x" * 201}, "is longer than 200 characters"),
        ({"que": "x"}, "que='x' is no option: did you mean queue?"),
        ({"zzz": 1}, "zzz=1 is no option: known are name, queue"),
        ({"queue": "a@v2"}, "queue='a@v2' is no name for a queue: @ parts a queue from a version"),
        ({"requires": ["v2"]}, "requires=['v2'] is no version: give one text such as 'v2'"),
        ({"requires": 2}, "requires=2 is no version: give one text such as 'v2'"),
        ({"requires": "v 2"}, "requires='v 2' is no version: 1 to 32 of letters"),
    ],
)
def test_a_bad_option_of_a_task_is_named_with_its_value(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionInvalid) as refused:
        task(**options)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delay": -1}, "delay=-1 is not between 0"),
        ({"delay": float("inf")}, "delay=inf is not between 0"),
        ({"delay": 1, "run_at": datetime.now(UTC)}, "exclude each other"),
        ({"run_at": datetime(2030, 1, 1)}, "has no time zone"),
        ({"run_at": datetime(9999, 12, 31, tzinfo=UTC)}, "is more than a hundred years away"),
        ({"run_at": "2030-01-01"}, "run_at='2030-01-01' is not a datetime"),
        ({"retry": Retry(max=3)}, "is for @task"),
        ({"dely": 3}, "dely=3 is no option: did you mean delay?"),
        ({"requires": "v2"}, "requires='v2' is for @task: what a job needs is said where its code"),
    ],
)
def test_a_bad_option_of_an_enqueue_is_named_at_once(
    shop: Any, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionInvalid) as refused:
        shop.fetch.options(**options)

    assert sentence in str(refused.value)


async def coroutine() -> None: ...
def generator() -> Iterator[int]:
    yield 1


class Shop:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda: None, "write it as a def"),
        (coroutine, "async function, which workers do not await"),
        (generator, "generator, whose body a call does not run"),
        (Shop.method, "is in a class"),
        (Shop, "is a class: write a function"),
        (len, "no plain function"),
        (functools.partial(print, 1), "is a partial, no plain function"),
        (3, "is a int, no plain function"),
    ],
)
def test_what_cannot_be_a_task_is_refused_with_a_remedy(function: Any, sentence: str) -> None:
    with pytest.raises(NotATask) as refused:
        task(function)

    assert sentence in str(refused.value)


def test_a_function_within_a_function_needs_a_name() -> None:
    def inner() -> None: ...

    with pytest.raises(NotATask, match="move it to the top level of its module"):
        task(inner)

    made = task(name="test_tasks_task.inner")(inner)
    assert isinstance(made, Task)


def test_a_task_is_decorated_once(shop: Any) -> None:
    with pytest.raises(NotATask, match=r"tshop\.bare is a task already"):
        task(shop.bare)


def test_a_task_of_a_script_is_made_but_not_enqueued(client: MemoryClient) -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def main_task(): ...", scope)

    made: Any = Task(scope["main_task"], "__main__.main_task", task_defaults())

    assert made() is None
    with pytest.raises(NotATask, match="move the task into a module of its own"):
        made.enqueue()
    assert client.batches == []


def task_defaults() -> Any:
    from taskd.tasks.options import DEFAULTS

    return DEFAULTS


def test_two_functions_cannot_have_one_name(code: UserCode) -> None:
    names = Registry()
    one = code.module("tone", "from taskd import task\n@task\ndef f(): ...").f
    other = Task(code.module("tother", "def g(): ...").g, one.name, one.defaults)
    names.add(one)

    with pytest.raises(TaskNameTaken, match=r"tone\.f and tother\.g"):
        names.add(other)
    names.add(Task(one.function, one.name, one.defaults))  # the module was imported again
