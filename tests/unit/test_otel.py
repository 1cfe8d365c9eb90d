"""Traces with the real SDK, jobs in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskd import otel
from taskd.pool.imports import import_code
from taskd.tasks.enqueue import enqueue_many
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.hooks.workers import WorkerInfo
from taskd.testing import collect
from tests.hook_lines import no_hooks
from tests.unit.tasks_project import user_code

SHOP = """
from taskd import Cancel, JobTimeout, task

@task(queue="sync")
def sync(remote):
    index.enqueue(remote)

@task
def index(remote): ...

@task
def fail(): raise ValueError("odd")

@task
def cancel(): raise Cancel("no more")
"""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: TracerProvider
) -> Iterator[ModuleType]:
    with no_hooks(), user_code(tmp_path, monkeypatch) as code:
        otel.install(provider)
        yield code.module("oshop", SHOP)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_a_trace_goes_from_the_enqueue_to_the_attempt_and_on(
    shop: ModuleType, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with collect() as jobs:
        with provider.get_tracer("web").start_as_current_span("request") as request:
            shop.sync.enqueue("debian")
        jobs.run(raise_errors=False)

    spans = by_name(exporter)
    chain = ["enqueue oshop.sync", "run oshop.sync", "enqueue oshop.index", "run oshop.index"]
    above = request.get_span_context().span_id
    for name in chain:
        assert parent_of(spans[name]) == above, name
        above = span_id(spans[name])
    assert len({span.context.trace_id for span in spans.values() if span.context}) == 1
    assert [spans[name].kind for name in chain[:2]] == [SpanKind.PRODUCER, SpanKind.CONSUMER]
    attributes = spans["run oshop.sync"].attributes or {}
    assert attributes["messaging.destination.name"] == "sync"
    assert attributes["taskd.attempt"] == 1
    sent = spans["enqueue oshop.sync"].attributes or {}
    assert sent["messaging.message.id"] == attributes["messaging.message.id"]


def test_many_that_are_enqueued_at_once_have_one_span(
    shop: ModuleType, exporter: InMemorySpanExporter
) -> None:
    with collect() as jobs:
        enqueue_many(shop.index, [("a",), ("b",)])
        jobs.run(raise_errors=False)

    sent = by_name(exporter)["enqueue oshop.index"]
    runs = [span for span in exporter.get_finished_spans() if span.name == "run oshop.index"]
    assert (sent.attributes or {})["messaging.batch.message_count"] == 2
    assert [parent_of(run) for run in runs] == [span_id(sent)] * 2


def test_what_a_task_raises_is_recorded(shop: ModuleType, exporter: InMemorySpanExporter) -> None:
    with collect() as jobs:
        shop.fail.enqueue()
        jobs.run(raise_errors=False)

    span = by_name(exporter)["run oshop.fail"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: odd"
    (event,) = span.events
    assert event.name == "exception"


def test_a_signal_of_the_task_is_no_error(shop: ModuleType, exporter: InMemorySpanExporter) -> None:
    with collect() as jobs:
        shop.cancel.enqueue()
        jobs.run(raise_errors=False)

    span = by_name(exporter)["run oshop.cancel"]
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["taskd.outcome"] == "Cancel"
    assert span.events == ()


@pytest.mark.parametrize("header", [None, "garbage", {"traceparent": "garbage"}, {"a": 1}])
def test_a_header_that_is_none_of_ours_begins_a_new_trace(
    shop: ModuleType, exporter: InMemorySpanExporter, header: object
) -> None:
    assert otel._carrier({"otel": header}) in ({}, header)


def test_a_worker_that_stops_sends_what_is_left(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    with no_hooks():
        otel.install(provider)
        provider.get_tracer("x").start_span("late").end()
        assert exporter.get_finished_spans() == ()

        (hook,) = hooks.on_worker_stop
        hook(WorkerInfo(pool="io", slot=0, generation=1, greenlets=25))

    assert by_name(exporter).keys() == {"late"}
    provider.shutdown()


def test_it_is_installed_once_and_may_be_listed() -> None:
    with no_hooks():
        import_code([], ["taskd.otel.Tracing", "taskd.sentry.Reporting"])
        otel.install()

        names = [type(one).__name__ for one in hooks.around_attempt]
        assert names == ["Tracing", "Reporting"]
        assert len(hooks.on_worker_stop.hooks) == 2
