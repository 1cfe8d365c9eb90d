"""What can be said of resources and limits, and what it comes to for a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskd import chain, enqueue, enqueue_many, exclusive, limit, shared, task
from taskd.errors import ArgumentsMismatch, OptionInvalid
from taskd.store.needs import EXCLUSIVE
from taskd.store.rows import NewGraph, NewJob, NewJobs
from taskd.tasks import batches
from taskd.tasks.needs import Needs, needs_offered
from taskd.tasks.publish import describe_tasks
from taskd.tasks.resources import Bounds, Kind, Resource
from tests.unit.tasks_project import MemoryClient, UserCode, memory_client, user_code

SHOP = """
from taskd import exclusive, limit, shared, task

@task(resources=[exclusive("repo:42"), shared("remote:7")])
def sync(repo): ...

@task(resources=lambda repo, remote=1: [exclusive(f"repo:{repo}"), shared(f"remote:{remote}")])
def computed(repo, remote=1): ...

@task(concurrency=3, rate="120/m", burst=5)
def limited(): ...

@task(resources=[limit("stripe", rate="10/s"), limit("paypal")], fair_by="tenant")
def pay(amount, tenant="none"): ...

@task(fair_by=lambda shop: shop["owner"], on_retry="release", resources=[exclusive("a")])
def owned(shop): ...

@task(fair_by="tenant", concurrency=1, on_retry="hold")
def open_to_all(**rest): ...

@task
def plain(): ...
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as code:
        yield code


@pytest.fixture
def shop(code: UserCode) -> ModuleType:
    return code.module("rshop", SHOP)


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    with memory_client() as client:
        yield client


def the_job(client: MemoryClient) -> NewJob:
    """The only one that the last enqueue has stored."""
    batch = client.batches[-1]
    assert isinstance(batch, NewGraph)
    (job,) = batch.jobs
    return job


def test_exclusive_needs_all_there_is_and_shared_one_unit(
    shop: ModuleType, client: MemoryClient
) -> None:
    shop.sync.enqueue(1)

    job = the_job(client)
    assert (job.res, job.need) == (("repo:42", "remote:7"), (EXCLUSIVE, 1))
    assert (job.limits, job.extra) == (None, None)


def test_resources_are_computed_from_the_arguments_of_each_call(
    shop: ModuleType, client: MemoryClient
) -> None:
    enqueue_many(shop.computed, [(1,), {"repo": 2, "remote": 3}])

    (graph,) = client.batches
    assert isinstance(graph, NewGraph)
    assert [job.res for job in graph.jobs] == [("repo:1", "remote:1"), ("repo:2", "remote:3")]


def test_the_limit_of_a_task_has_its_name(shop: ModuleType, client: MemoryClient) -> None:
    shop.limited.enqueue()

    job = the_job(client)
    assert (job.res, job.need) == (("@task rshop.limited",), (1,))
    assert job.limits == {"@task rshop.limited": [3, 2.0, 5]}


def test_a_limit_by_name_has_numbers_only_where_the_code_says_some(
    shop: ModuleType, client: MemoryClient
) -> None:
    shop.pay.enqueue(5)

    job = the_job(client)
    assert job.res == ("@key stripe", "@key paypal")
    assert job.limits == {"@key stripe": [None, 10.0, None]}


def test_only_what_has_nothing_but_limits_lets_go_in_a_pause_unless_told(
    shop: ModuleType, client: MemoryClient
) -> None:
    def release(*args: Any) -> object:
        return (the_job(client).extra or {}).get("on_retry")

    assert release(shop.limited.enqueue()) == "release"
    assert release(shop.sync.enqueue(1)) is None
    assert release(shop.owned.enqueue({"owner": "me"})) == "release"
    assert release(shop.open_to_all.enqueue(tenant="me")) is None
    assert release(shop.limited.options(resources=[shared("a")]).enqueue()) is None


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda shop: shop.pay.enqueue(5, "acme"), "acme"),
        (lambda shop: shop.pay.enqueue(5, tenant=7), "7"),
        (lambda shop: shop.pay.enqueue(5), "none"),
        (lambda shop: shop.pay.enqueue(5, None), None),
        (lambda shop: shop.owned.enqueue({"owner": "me"}), "me"),
        (lambda shop: shop.open_to_all.enqueue(tenant="me"), "me"),
        (lambda shop: shop.open_to_all.enqueue(), None),
    ],
)
def test_a_job_takes_turns_by_the_key_that_its_arguments_give(
    shop: ModuleType, client: MemoryClient, call: Any, key: str | None
) -> None:
    call(shop)

    assert (the_job(client).extra or {}).get("fair") == key


def test_what_is_named_twice_is_needed_once_and_exclusively_if_either_says_so(
    shop: ModuleType, client: MemoryClient
) -> None:
    twice = [shared("a"), exclusive("a"), shared("a"), limit("a"), limit("a", concurrency=2)]
    shop.plain.options(resources=twice).enqueue()

    job = the_job(client)
    assert dict(zip(job.res, job.need, strict=True)) == {"a": EXCLUSIVE, "@key a": 1}
    assert job.limits == {"@key a": [2, None, None]}


def test_resources_of_one_enqueue_take_the_place_of_the_tasks_and_leave_its_limit(
    shop: ModuleType, client: MemoryClient
) -> None:
    shop.sync.options(resources=[exclusive("other")]).enqueue(1)
    assert the_job(client).res == ("other",)

    enqueue_many(shop.limited, [()], resources=lambda: [shared("b")])
    assert the_job(client).res == ("b", "@task rshop.limited")

    shop.sync.options(resources=None).enqueue(1)
    assert isinstance(client.batches[-1], NewJobs)


def test_a_flow_and_a_call_after_others_carry_what_they_need(
    shop: ModuleType, client: MemoryClient
) -> None:
    chain(shop.sync.call(1), shop.computed.options(queue="x").call(2)).enqueue()
    shop.sync.options(after=[1]).enqueue(1)

    flow, after = client.batches
    assert isinstance(flow, NewGraph)
    assert isinstance(after, NewGraph)
    assert [job.res for job in flow.jobs] == [("repo:42", "remote:7"), ("repo:2", "remote:1")]
    assert [(job.res, job.parents) for job in after.jobs] == [(("repo:42", "remote:7"), (1,))]


def test_many_jobs_with_resources_are_cut_into_statements_by_number_and_size(
    shop: ModuleType, client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_STATEMENT_JOBS", 3)
    monkeypatch.setattr(batches, "MAX_STATEMENT_CHARACTERS", 40 + 6 * len("repo:42remote:7"))
    texts = ["a", "b", "c", "d" * 110, "e" * 200, "f"]

    enqueue_many(shop.sync, [(text,) for text in texts])

    graphs = [batch.jobs for batch in client.batches if isinstance(batch, NewGraph)]
    assert [len(jobs) for jobs in graphs] == [3, 1, 1, 1]
    assert [json.loads(job.args)[0] for jobs in graphs for job in jobs] == texts


def test_what_a_daemon_publishes_makes_the_same_job_by_name(
    shop: ModuleType, client: MemoryClient, code: UserCode
) -> None:
    offers = {one["name"]: one for one in json.loads(json.dumps(describe_tasks(["rshop"])))}
    calls: dict[str, dict[str, Any]] = {
        "sync": {"repo": 1},
        "limited": {},
        "pay": {"amount": 5},
        "open_to_all": {"tenant": "me"},
    }
    known = []
    for name, keywords in calls.items():
        getattr(shop, name).enqueue(**keywords)
        known.append(the_job(client))

    for (name, keywords), expected in zip(calls.items(), known, strict=True):
        # Under another name, for the module that has this one is imported here.
        client.offers[f"far.{name}"] = offers[f"rshop.{name}"]
        enqueue(f"far.{name}", **keywords)
        made = the_job(client)
        assert [res.replace("far.", "rshop.") for res in made.res] == list(expected.res)
        assert (made.need, made.extra) == (expected.need, expected.extra)
    assert all(
        needs_offered(json.loads(json.dumps(one.defaults.needs.describe()))) == one.defaults.needs
        for one in (shop.sync, shop.limited, shop.pay, shop.open_to_all, shop.plain)
    )


def test_what_a_function_makes_is_refused_where_only_the_name_is_known(
    shop: ModuleType, client: MemoryClient
) -> None:
    offers = {one["name"]: one for one in json.loads(json.dumps(describe_tasks(["rshop"])))}
    client.offers = {"far.computed": offers["rshop.computed"], "far.owned": offers["rshop.owned"]}

    with pytest.raises(OptionInvalid, match=r"resources='far.computed' has .*import the task.*res"):
        enqueue("far.computed", 1)
    with pytest.raises(OptionInvalid, match=r"fair_by='far.owned' has .*import the task.*argument"):
        enqueue("far.owned", {"owner": "me"})
    assert client.batches == []

    enqueue_many("far.computed", [(1,)], resources=[exclusive("repo:1")])
    assert the_job(client).res == ("repo:1",)


def test_a_fair_key_wants_arguments_that_fit(client: MemoryClient) -> None:
    client.offers = {"far.pay": {"queue": "q", "priority": 5, "timeout": None, "retries": 0,
                     "needs": {"fair_by": "tenant"},
                     "parameters": [{"name": "tenant", "kind": "keyword_only"}]}}  # fmt: skip

    with pytest.raises(ArgumentsMismatch, match="tenant"):
        enqueue("far.pay")

    client.offers["far.pay"]["parameters"] = None
    with pytest.raises(OptionInvalid, match=r"fair_by='tenant' cannot be found .* as a keyword"):
        enqueue("far.pay", "acme")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: exclusive(""), "exclusive='' is no name: give a text of 1 to 200 printable"),
        (lambda: shared("x" * 201), "is no name: give a text of 1 to 200 printable"),
        (lambda: shared("a\nb"), "shared='a\\nb' is no name: give a text of 1 to 200"),
        (lambda: exclusive("a\ud800"), "is no name: give a text of 1 to 200"),
        (lambda: exclusive(42), 'exclusive=42 is no name: give a text, such as "repo:42"'),
        (lambda: limit("@key a"), "limit='@key a' is no name: begin it with another character"),
        (lambda: limit("a", concurrency=0), "limit('a'): concurrency=0 is not between 1 and"),
        (lambda: limit("a", concurrency=True), "concurrency=True is not a whole number"),
        (lambda: limit("a", concurrency=2.5), "concurrency=2.5 is not a whole number"),
        (lambda: limit("a", rate="fast"), "limit('a'): rate='fast' is not a rate: write how many"),
        (lambda: limit("a", rate=100), "rate=100 is not a rate: write how many"),
        (lambda: limit("a", rate="0/m"), "rate='0/m' is not more than 0"),
        (lambda: limit("a", burst=3), "burst=3 says something of a rate only: add one, such as ra"),
        (
            lambda: limit("a", rate="1/s", burst=0),
            "limit('a'): burst=0 is not between 1 and 1000000; leave it out for one at a time",
        ),
        (lambda: exclusive(" a"), "exclusive=' a' is no name: leave out the blanks at its ends"),
        (lambda: limit("a "), "limit='a ' is no name: leave out the blanks at its ends"),
        (lambda: Resource("exclusiv", "a"), "kind='exclusiv' is none of exclusive, shared, limit"),  # type: ignore[arg-type]
        (lambda: Resource(Kind.SHARED, "a\0"), "shared='a\\x00' is no name"),
        (lambda: Resource(Kind.SHARED, "@task x"), "shared='@task x' is no name"),
        (
            lambda: Resource(Kind.SHARED, "a", Bounds(1)),
            "are numbers of a limit, and this is shared",
        ),
        (lambda: Resource(Kind.LIMIT, 42), 'limit=42 is no name: give a text, such as "repo:42"'),  # type: ignore[arg-type]
        (
            lambda: Resource(Kind.LIMIT, "a", Bounds(0)),
            "limit('a'): concurrency=0 is not between 1 and 1000000; leave it out for no limit",
        ),
        (
            lambda: Resource(Kind.LIMIT, "a", Bounds(rate="fast")),
            "limit('a'): rate='fast' is not a rate: write how many",
        ),
        (
            lambda: Resource(Kind.LIMIT, "a", Bounds(burst=3)),
            "limit('a'): burst=3 says something of a rate only: add one",
        ),
        (
            lambda: Resource(Kind.LIMIT, "a", {"concurrency": 5}),  # type: ignore[arg-type]
            "bounds={'concurrency': 5} are no bounds: make it with limit(name, concurrency=…",
        ),
        (lambda: task(concurrency=0), "concurrency=0 is not between 1 and"),
        (lambda: task(rate="1 a day"), "rate='1 a day' is not a rate"),
        (lambda: task(burst=2), "burst=2 says something of a rate only"),
        (lambda: task(resources="repo"), "resources='repo' is not a list of resources: say [excl"),
        (lambda: task(resources=["repo"]), "resources='repo' is no resource: say exclusive("),
        (lambda: task(resources=exclusive("a")), "is not a list of resources: say [exclusive("),
        (lambda: task(resources=7), "resources=7 is not a list of resources"),
        (
            lambda: task(resources=[limit("a", rate="1/s"), limit("a", rate="2/s")]),
            "says that limit 'a' is 1/s and that it is 2/s: say one",
        ),
        (lambda: task(fair_by=7), "fair_by=7 is neither the name of an argument nor a function"),
        (lambda: task(fair_by="a b"), "fair_by='a b' is neither the name of an argument nor"),
        (lambda: task(on_retry="keep"), 'on_retry=\'keep\' is neither "hold" nor "release"'),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(OptionInvalid) as refused:
        make()

    assert sentence in str(refused.value)


@pytest.mark.parametrize("option", ["concurrency", "rate", "burst", "fair_by", "on_retry"])
def test_what_holds_for_a_task_cannot_be_said_of_one_job(shop: ModuleType, option: str) -> None:
    with pytest.raises(OptionInvalid, match=f"{option}='x' is for @task"):
        shop.plain.options(**{option: "x"})


def test_a_resource_is_what_its_kind_says_however_that_is_written(
    shop: ModuleType, client: MemoryClient
) -> None:
    made = Resource("exclusive", "RR")  # type: ignore[arg-type]

    shop.plain.options(resources=[made]).enqueue()

    assert made == exclusive("RR")
    assert Resource(Kind.LIMIT, "a", Bounds()) == limit("a")
    assert the_job(client).need == (EXCLUSIVE,)


def test_a_resource_shows_itself_as_it_is_written() -> None:
    assert repr(exclusive("a")) == "exclusive('a')"
    assert repr(limit("q", concurrency=1, rate="1/s")) == "limit('q', concurrency=1, rate='1/s')"


def test_a_burst_of_one_is_none(shop: ModuleType, client: MemoryClient) -> None:
    same = [limit("a", rate="1/s"), limit("a", rate="60/m", burst=1)]

    shop.plain.options(resources=same).enqueue()

    assert the_job(client).res == ("@key a",)


@pytest.mark.parametrize("name", ["args", "rest"])
def test_fair_by_names_a_single_argument(code: UserCode, name: str) -> None:
    with pytest.raises(OptionInvalid, match=f"fair_by='{name}' takes any number of arguments"):
        code.module(
            "rwrong",
            f"from taskd import task\n@task(fair_by='{name}')\ndef f(*args, **rest): ...",
        )


def test_fair_by_names_an_argument_of_the_task(code: UserCode) -> None:
    with pytest.raises(OptionInvalid, match=r"fair_by='tenat' is no argument .*mean 'tenant'\?"):
        code.module("rwrong", "from taskd import task\n@task(fair_by='tenat')\ndef f(tenant): ...")


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        (lambda: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda: None, "is what the function returned, and is not a list of resources"),
        (lambda: ["a"], "resources='a' is no resource"),
        (lambda: [exclusive("")], "exclusive='' is no name"),
        (lambda x: [], "failed: TypeError"),
        (lambda: [limit("a", rate="1/s"), limit("a", burst=2, rate="1/s")], "limit 'a' is 1/s and"),
    ],
)
def test_a_function_that_makes_no_resources_stops_the_enqueue(
    shop: ModuleType, client: MemoryClient, resources: Any, sentence: str
) -> None:
    with pytest.raises(OptionInvalid) as refused:
        shop.plain.options(resources=resources).enqueue()

    assert sentence in str(refused.value)
    assert client.batches == []


@pytest.mark.parametrize("owner", [1.5, True, ["me"], "", "x" * 201, "a\n"])
def test_a_key_that_is_none_stops_the_enqueue(
    shop: ModuleType, client: MemoryClient, owner: object
) -> None:
    with pytest.raises(OptionInvalid, match="is no key: "):
        shop.owned.enqueue({"owner": owner})
    with pytest.raises(OptionInvalid, match="failed: KeyError"):
        shop.owned.enqueue({})

    assert client.batches == []


def test_a_task_that_says_nothing_needs_nothing(shop: ModuleType, client: MemoryClient) -> None:
    shop.plain.enqueue()

    assert isinstance(client.batches[-1], NewJobs)
    assert Needs().describe() is None
