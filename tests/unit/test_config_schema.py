"""The JSON Schema accepts what loads, and marks what does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from taskd.config.schema import json_schema
from tests.unit.configuration import Folder

SCHEMA = json.loads(json.dumps(json_schema()))

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
CHECKED = {
    "$ref", "additionalProperties", "anyOf", "enum", "items", "maximum", "minimum", "oneOf",
    "pattern", "patternProperties", "properties", "propertyNames", "required", "type",
    "uniqueItems",
}  # fmt: skip
TOLD = {"$defs", "$schema", "default", "description", "title"}


def accepts(schema: dict[str, object], value: object) -> bool:
    """Whether a value fits; knows every keyword that our schema has, and no other."""
    assert set(schema) <= CHECKED | TOLD
    return all(CHECKS[name](schema, value) for name in schema if name in CHECKED)


def has_type(schema: dict[str, object], value: object) -> bool:
    types = TYPES[str(schema["type"])]
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types)


def has_known_keys(schema: dict[str, object], value: object) -> bool:
    if not isinstance(value, dict):
        return True
    patterns = schema.get("patternProperties", {})
    others = schema["additionalProperties"]
    return all(
        accepts(others, part) if isinstance(others, dict) else bool(others)
        for key, part in value.items()
        if key not in schema.get("properties", {})
        and not any(re.search(pattern, key) for pattern in patterns)
    )


CHECKS = {
    "$ref": lambda s, v: accepts(SCHEMA["$defs"][s["$ref"].rpartition("/")[2]], v),
    "additionalProperties": has_known_keys,
    "anyOf": lambda s, v: any(accepts(each, v) for each in s["anyOf"]),
    "enum": lambda s, v: v in s["enum"],
    "items": lambda s, v: not isinstance(v, list) or all(accepts(s["items"], i) for i in v),
    "maximum": lambda s, v: not isinstance(v, int | float) or v <= s["maximum"],
    "minimum": lambda s, v: not isinstance(v, int | float) or v >= s["minimum"],
    "oneOf": lambda s, v: sum(accepts(each, v) for each in s["oneOf"]) == 1,
    "pattern": lambda s, v: not isinstance(v, str) or bool(re.search(s["pattern"], v)),
    "patternProperties": lambda s, v: True,
    "properties": lambda s, v: (
        not isinstance(v, dict)
        or all(accepts(s["properties"][k], part) for k, part in v.items() if k in s["properties"])
    ),
    "propertyNames": lambda s, v: (
        not isinstance(v, dict) or all(accepts(s["propertyNames"], key) for key in v)
    ),
    "required": lambda s, v: not isinstance(v, dict) or all(name in v for name in s["required"]),
    "type": has_type,
    "uniqueItems": lambda s, v: not isinstance(v, list) or all(v.count(i) == 1 for i in v),
}

GOOD = [
    "{}",
    "lease: 15",
    "lease: 15.5",
    "lease: 500s",
    "lease: '15'",
    "lease: 1.5 m",
    "lease: ${LEASE:-15s}",
    "max_args: 1000",
    "max_args: 64kB",
    "max_args: 1 MiB",
    "database:",
    "database: host=db",
    "database: ${DSN:-postgresql://db/shop}",
    "listen: false",
    "listen: 'true'",
    "listen: postgresql://direct/shop",
    "imports: [shop.tasks, größe]",
    "imports:",
    "offers: [v1, '2026.1']",
    "offers:",
    "pools:",
    "pools: {io: }",
    "pools: {io: {greenlets: 25, processes: '4', queues: [a, 'b c', no]}}",
    "pools: {io: {greenlets: '${N:-5}', queues: ['${Q:-a}'], timeout: }}",
    "pools: {io: {queues: {urgent: 5, mail: '1', sync: '${N:-2}'}, ageing: 5m}}",
    "queues: {'Any name/½': {timeout: 5m, description: x}}",
    "queues: {sync: {concurrency: 20, rate: 100/m, burst: 20}}",
    "queues: {sync: {concurrency: '${N:-5}', rate: '${R:-0.5/h}'}}",
    "limits:",
    "limits: {stripe: {rate: 10 / s}, 'any name': {concurrency: '5'}}",
    "log: {level: debug, format: '${FORMAT:-json}'}",
    "log:",
    "retention: {history: 14d, partitions_ahead: 3}",
    "x-anchors: [1, {a: 2}]",
    "schedules:",
    "schedules: {a: {task: b.c, cron: 0 3 * * MON-FRI, timezone: Europe/Berlin}}",
    "schedules: {a: {task: b.c, cron: '@daily', args: [1, {x: 2}], kwargs: {y: }}}",
    "schedules: {'b.c:2': {task: b.c, every: 15m, catch_up: all, overlap: queue}}",
    "schedules: {a: {task: b.c, run_at: 2030-01-31T08:00:00+01:00}}",
    "schedules: {a: {task: b.c, every: '${EVERY:-5m}', queue: '${Q:-a}'}}",
]
BAD = [
    "[]",
    "lease: 1:30",
    "lease: 15 seconds",
    "lease: true",
    "lease: 0.5",
    "lease: 7200",
    "lease:",
    "max_args: 1.5",
    "max_args: 1m",
    "max_args: 10",
    "database: shop",
    "database: 5",
    "listen: no",
    "imports: shop",
    "imports: [shop/tasks.py x]",
    "imports: [a, a]",
    "offers: v1",
    "offers: ['a b']",
    "pools: {IO: {}}",
    "pools: {io: 5}",
    "pools: {io: {greenlets: 0}}",
    "pools: {io: {greenlets: 100000}}",
    "pools: {io: {greenlets: 2.5}}",
    "pools: {io: {greenlet: 5}}",
    "pools: {io: {queues: a}}",
    "pools: {io: {queues: ['a,b']}}",
    "pools: {io: {queues: {'a,b': 1}}}",
    "pools: {io: {queues: {a: 0}}}",
    "pools: {io: {queues: {a: 1.5}}}",
    "pools: {io: {queues: {a: high}}}",
    "pools: {io: {ageing: 0}}",
    "queues: {'a,b': {}}",
    "queues: {sync: {concurrency: 0}}",
    "queues: {sync: {rate: 100}}",
    "queues: {sync: {rate: 100/w}}",
    "limits: {stripe: {}}",
    "limits: {stripe: {burst: 5}}",
    "limits: {'@queue sync': {rate: 1/s}}",
    "log: {level: INFO}",
    "retention: {partitions_ahead: 7d}",
    "datbase: host=db",
    "burst: true",
    "schedules: {a: {every: 15m}}",
    "schedules: {a: {task: b.c}}",
    "schedules: {a: {task: b.c, every: 15m, cron: 0 3 * * *}}",
    "schedules: {a: {task: b.c, every: 0}}",
    "schedules: {a: {task: b.c, cron: 0 3 * *}}",
    "schedules: {a: {task: b.c, run_at: 2030-01-31T08:00}}",
    "schedules: {a: {task: b c, every: 15m}}",
    "schedules: {a b: {task: b.c, every: 15m}}",
    "schedules: {a: {task: b.c, every: 15m, args: 5}}",
    "schedules: {a: {task: b.c, every: 15m, kwargs: [5]}}",
    "schedules: {a: {task: b.c, every: 15m, overlap: run}}",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def as_editors_see(text: str) -> object:
    # With the words of YAML 1.2, which editors read: `no`, `1:30` and times are text.
    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if not tag.endswith((":bool", ":int", ":timestamp"))
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile("^-?[0-9]+$"), list("-0123456789")
    )
    return yaml.load(text, Loader)


@pytest.mark.parametrize("text", GOOD)
def test_schema_accepts_what_loads(folder: Folder, text: str) -> None:
    folder.load(text)

    assert accepts(SCHEMA, as_editors_see(text))


@pytest.mark.parametrize("text", BAD)
def test_schema_refuses_what_is_refused(folder: Folder, text: str) -> None:
    assert folder.faults(text)

    assert not accepts(SCHEMA, as_editors_see(text))


def objects_of(schema: object) -> list[dict[str, object]]:
    """Every schema of settings in it."""
    if isinstance(schema, list):
        return [found for part in schema for found in objects_of(part)]
    if not isinstance(schema, dict):
        return []
    below = [found for part in schema.values() for found in objects_of(part)]
    return [schema, *below] if isinstance(schema.get("properties"), dict) else below


def test_every_section_knows_all_its_settings() -> None:
    sections = objects_of(SCHEMA)

    assert len(sections) == 9
    assert all(section["additionalProperties"] is False for section in sections)


def test_every_setting_has_a_description_and_a_default() -> None:
    for section in objects_of(SCHEMA):
        for name, setting in section["properties"].items():  # type: ignore[attr-defined]
            assert setting["description"], name
            # The default of the state directory hangs on the machine, and stands in words.
            assert "default" in setting or name in ("state_dir", *section.get("required", ()))  # type: ignore[misc]


def test_defaults_are_written_with_their_units() -> None:
    assert SCHEMA["properties"]["lease"]["default"] == "15s"
    assert SCHEMA["properties"]["max_args"]["default"] == "1MiB"
    assert SCHEMA["$defs"]["LogSettings"]["properties"]["level"]["default"] == "info"


def test_defaults_fit_the_schema_themselves() -> None:
    for section in objects_of(SCHEMA):
        for name, setting in section["properties"].items():  # type: ignore[attr-defined]
            assert "default" not in setting or accepts(setting, setting["default"]), name
