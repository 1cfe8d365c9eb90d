"""The page on traces and errors: its modules do what it says, with jobs in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider

from taskd import otel
from taskd.pool.imports import import_code
from taskd.tasks.hooks.registry import hooks
from taskd.testing import collect
from tests.docs.pages import HOW_TO, Page
from tests.hook_lines import no_hooks
from tests.sentry_server import sentry
from tests.unit.tasks_project import UserCode, user_code

PAGE = Page.read("tracing.md")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with no_hooks(), user_code(tmp_path, monkeypatch) as code:
        yield code


def test_jobs_belong_to_the_trace_of_their_enqueue(code: UserCode) -> None:
    provider = TracerProvider()
    otel.install(provider)
    shop = code.module("shop_traces", PAGE.modules["shop_traces"])

    with collect() as jobs:
        with provider.get_tracer("web").start_as_current_span("request") as request:
            job = shop.index.enqueue("debian")
        jobs.run(raise_errors=False)
        told = job.result()

    assert told == f"{request.get_span_context().trace_id:032x}"
    assert [hook.name for hook in hooks.on_worker_start] == ["shop_traces.begin_tracing"]


SCRIPT = """
import sentry_sdk
from taskd.testing import collect
from shop_errors import charge

with collect() as jobs:
    charge.enqueue(17)
    jobs.run(raise_errors=False)
sentry_sdk.flush()
"""


def test_the_failure_becomes_one_event(tmp_path: Path) -> None:
    """In a process of its own, for the SDK's integrations stay where they once were set up."""
    (tmp_path / "shop_errors.py").write_text(PAGE.modules["shop_errors"])
    (tmp_path / "script.py").write_text(SCRIPT)
    with sentry() as inbox:
        environment = {**os.environ, "SENTRY_DSN": inbox.dsn, "PYTHONDONTWRITEBYTECODE": "1"}
        script = [sys.executable, "script.py"]
        subprocess.run(script, cwd=tmp_path, env=environment, check=True, timeout=60)

    (event,) = inbox.events
    assert event["tags"]["customer"] == 17
    assert event["contexts"]["job"]["attempt"] == 3


def test_the_configuration_of_the_page_may_be_listed(code: UserCode) -> None:
    text = (HOW_TO / "tracing.md").read_text(encoding="utf-8")
    listed = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["middleware"]

    import_code([], listed)

    assert [type(one).__name__ for one in hooks.around_attempt] == ["Tracing", "Reporting"]
