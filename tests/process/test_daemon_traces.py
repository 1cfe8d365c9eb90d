"""Traces and errors of a real daemon, with the real SDKs: over processes, and between greenlets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import taskd
from taskd import otel
from tests.hook_lines import no_hooks
from tests.process.daemon import Project
from tests.sentry_server import Inbox, sentry

SHOP = """
import os
import time

import sentry_sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

import taskd
import taskd.otel
import taskd.sentry
from taskd import task

taskd.otel.install()
sentry_sdk.init(dsn=os.environ["SENTRY_DSN"])
taskd.sentry.install()


@taskd.on_worker_start
def begin(worker):
    out = open(f"spans-{os.getpid()}", "a")
    exporter = ConsoleSpanExporter(out=out, formatter=lambda s: s.to_json(indent=None) + "\\n")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
    trace.set_tracer_provider(provider)


@task
def outer(): inner.enqueue()


@task
def inner(): ...


@task
def fail(number):
    sentry_sdk.set_tag("number", number)
    for step in range(3):
        sentry_sdk.add_breadcrumb(message=f"{number} step {step}")
        time.sleep(0.02)
    raise ValueError(number)
"""
CONFIG = "imports: [shop]\npools: {io: {processes: 2, greenlets: 10}}\n"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with sentry() as found:
        yield found


@pytest.fixture
def project(
    dsn: str, tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    monkeypatch.setenv("SENTRY_DSN", inbox.dsn)
    project = Project(tmp_path, dsn)
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", CONFIG)
    taskd.configure(database=dsn)
    yield project
    taskd.configure()
    project.close()


def enqueue_traced() -> list[dict[str, Any]]:
    """Enqueue what the daemon runs, in a trace of this process; its spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with no_hooks():
        otel.install(provider)
        taskd.enqueue("shop.outer")
    provider.shutdown()
    return [json.loads(span.to_json()) for span in exporter.get_finished_spans()]


def test_a_trace_crosses_processes_and_errors_keep_to_their_greenlet(
    project: Project, inbox: Inbox
) -> None:
    daemon = project.start()
    spans = enqueue_traced()
    project.enqueue_many("shop.fail", [(number,) for number in range(12)])
    project.wait_for_states(succeeded=2, failed=12)
    assert daemon.stop() == 0

    for file in project.folder.glob("spans-*"):
        spans += map(json.loads, file.read_text().splitlines())
    found = {span["name"]: span for span in spans if "shop.fail" not in span["name"]}
    above = None
    for name in ("enqueue shop.outer", "run shop.outer", "enqueue shop.inner", "run shop.inner"):
        assert found[name]["parent_id"] == above, name
        above = found[name]["context"]["span_id"]
    assert len({span["context"]["trace_id"] for span in found.values()}) == 1
    assert "falls back" not in daemon.log()

    assert len(inbox.events) == 12
    for event in inbox.events:
        number = event["exception"]["values"][0]["value"]
        assert str(event["tags"]["number"]) == number
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
        steps = [crumb for crumb in crumbs if " step " in crumb]
        assert steps == [f"{number} step {step}" for step in range(3)]
    assert len({event["contexts"]["job"]["id"] for event in inbox.events}) == 12
