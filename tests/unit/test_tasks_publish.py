from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.settings import Settings
from taskd.tasks.offers import offered_versions
from taskd.tasks.options import DEFAULTS, defaults_offered
from taskd.tasks.publish import describe_tasks
from tests.unit.tasks_project import UserCode, user_code

SHOP = '''
import os
from json import dumps
from taskd import task, Retry

class Odd:
    def __repr__(self): raise RuntimeError

@task(queue="sync", priority=7, timeout=60, retry=Retry(max=5), requires="v2", on_lost="fail")
def fetch(url: str, n: int = 1) -> int:
    """Fetch a page.

    And more.
    """

@task(name="a.name")
def named(): ...

def plain(x=Odd()): ...

def _private(): ...

async def coroutine(): ...
'''


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        made.module("pshop", SHOP)
        made.module("pother", "from taskd import task\n@task\ndef hidden(): ...")
        yield made


def test_a_task_is_described_with_its_options(code: UserCode) -> None:
    fetch = next(one for one in describe_tasks(["pshop"]) if one["name"] == "pshop.fetch")

    assert fetch == {
        "name": "pshop.fetch",
        "module": "pshop",
        "signature": "(url: str, n: int = 1) -> int",
        "parameters": [
            {"name": "url", "kind": "positional_or_keyword"},
            {"name": "n", "kind": "positional_or_keyword", "default": 1},
        ],
        "summary": "Fetch a page.",
        "doc": "Fetch a page.\n\nAnd more.",
        "queue": "sync",
        "priority": 7,
        "timeout": 60.0,
        "retries": 5,
        "retry": "up to 5 times, exponential, from 5 s to 3600 s",
        "expires": None,
        "unique": None,
        "requires": "v2",
        "needs": None,
        "on_failure": False,
        "on_interrupt": "requeue",
        "on_lost": "fail",
        "decorated": True,
    }


def test_what_can_be_run_is_listed_and_nothing_else(code: UserCode) -> None:
    tasks = {one["name"]: one["decorated"] for one in describe_tasks(["pshop"])}

    assert tasks == {"a.name": True, "pshop.fetch": True, "pshop.plain": False}


def test_a_default_that_cannot_be_shown_does_no_harm(code: UserCode) -> None:
    plain = next(one for one in describe_tasks(["pshop"]) if one["name"] == "pshop.plain")

    assert plain["signature"] == "(…)"


def test_a_description_is_json_and_gives_the_options_back(code: UserCode) -> None:
    fetch, named = (
        next(one for one in describe_tasks(["pshop"]) if one["name"] == name)
        for name in ("pshop.fetch", "a.name")
    )

    offered = defaults_offered(json.loads(json.dumps(fetch)))
    assert (offered.queue, offered.priority, offered.timeout) == ("sync", 7, 60.0)
    assert (offered.retries, offered.requires) == (5, "v2")
    assert (offered.on_interrupt, offered.on_lost) == ("requeue", "fail")
    assert defaults_offered(named) == DEFAULTS


def test_what_an_older_taskd_has_published_requires_nothing(code: UserCode) -> None:
    fetch = next(one for one in describe_tasks(["pshop"]) if one["name"] == "pshop.fetch")
    for later in ("requires", "expires", "unique", "parameters"):
        del fetch[later]

    assert defaults_offered(fetch).requires is None


def test_the_code_offers_what_tasks_inside_the_imports_require_and_what_is_configured(
    code: UserCode,
) -> None:
    code.module("pelse", 'from taskd import task\n@task(requires="v9")\ndef other(): ...')

    assert offered_versions(Settings(imports=("pshop",))) == {"v2"}
    assert offered_versions(Settings(imports=("pshop",), offers=("v1",))) == {"v1", "v2"}
    assert offered_versions(Settings(imports=("pshop", "pelse"))) == {"v2", "v9"}
