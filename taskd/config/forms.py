"""How each kind of setting may be written, as fragments of JSON Schema."""

from dataclasses import MISSING, Field
from enum import StrEnum

from taskd.config.about import About, Kind
from taskd.config.memory import LEAST_MEMORY, MOST_MEMORY
from taskd.config.names import MODULE_PATTERN, QUEUE_PATTERN, SCHEDULE_PATTERN
from taskd.config.rates import RATE_PATTERN
from taskd.config.units import DURATION_PATTERN, SHARE_PATTERN, SIZE_PATTERN
from taskd.config.versions import VERSION_PATTERN
from taskd.config.weights import MAX_WEIGHT

Form = dict[str, object]

REFERENCE: Form = {"type": "string", "pattern": r"\$\{.+\}"}
"""A text that a variable is put into; what comes of it, only the daemon can tell."""

COUNT_PATTERN = "^-?(0|[1-9][0-9]{0,17})$"
_WEIGHTS: Form = {
    "type": "object",
    "propertyNames": {"pattern": QUEUE_PATTERN},
    "additionalProperties": {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MAX_WEIGHT},
            {"type": "string", "pattern": COUNT_PATTERN},
            REFERENCE,
        ]
    },
}
_CRON_PATTERN = r"^\s*(@[a-z]+|(\S+\s+){4}\S+)\s*$"
_MOMENT_PATTERN = r"^\d{4}-?\d\d-?\d\d.\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
_ADDRESS_PATTERN = r":[0-9]{1,5}$"
_DSN_PATTERN = r"^\s*(postgres(ql)?://|[A-Za-z_]+\s*=)"
_PATTERNS = {
    Kind.QUEUE: QUEUE_PATTERN,
    Kind.TASK: SCHEDULE_PATTERN,
    Kind.CRON: _CRON_PATTERN,
    Kind.MOMENT: _MOMENT_PATTERN,
    Kind.RATE: RATE_PATTERN,
    Kind.DSN: _DSN_PATTERN,
    Kind.ADDRESS: _ADDRESS_PATTERN,
}


def form_of(about: About) -> Form:
    """Return the schema of a setting that is no section."""
    match about.kind:
        case Kind.MODULES | Kind.CLASSES:
            return _list_of({"type": "string", "pattern": MODULE_PATTERN})
        case Kind.VERSIONS:
            return _list_of({"type": "string", "pattern": VERSION_PATTERN})
        case Kind.TASKS:
            return _list_of({"type": "string", "pattern": SCHEDULE_PATTERN})
        case Kind.QUEUES:
            return {"anyOf": [_list_of({"type": "string", "pattern": QUEUE_PATTERN}), _WEIGHTS]}
        case Kind.TEXT | Kind.PATH | Kind.TIMEZONE:
            return {"type": "string"}
        case Kind.ARGUMENTS:
            return {"type": "array"}
        case Kind.KEYWORDS:
            return {"type": "object"}
        case _:
            return {"anyOf": [*_scalar_forms(about), REFERENCE]}


def _list_of(item: Form) -> Form:
    return {"type": "array", "items": {"anyOf": [item, REFERENCE]}, "uniqueItems": True}


def _scalar_forms(about: About) -> list[Form]:
    match about.kind:
        case Kind.COUNT:
            return [
                {"type": "integer", **_bounds(about)},
                {"type": "string", "pattern": COUNT_PATTERN},
            ]
        case Kind.DURATION | Kind.DAYS:
            return [
                {"type": "number", **_bounds(about)},
                {"type": "string", "pattern": DURATION_PATTERN},
            ]
        case Kind.SIZE:
            return [
                {"type": "integer", **_bounds(about)},
                {"type": "string", "pattern": SIZE_PATTERN},
            ]
        case Kind.MEMORY:
            return [
                {"type": "integer", "minimum": LEAST_MEMORY, "maximum": MOST_MEMORY},
                {"type": "string", "pattern": SIZE_PATTERN},
                {"type": "string", "pattern": SHARE_PATTERN},
            ]
        case Kind.SHARE:
            return [
                {"type": "number", **_bounds(about)},
                {"type": "string", "pattern": SHARE_PATTERN},
            ]
        case Kind.CHOICE:
            return [{"type": "string", "enum": list(about.choices)}]
        case Kind.LISTEN:
            words: Form = {"type": "string", "enum": ["true", "false"]}
            return [{"type": "boolean"}, words, {"type": "string", "pattern": _DSN_PATTERN}]
        case _:
            return [{"type": "string", "pattern": _PATTERNS[about.kind]}]


def _bounds(about: About) -> Form:
    if about.between is None:
        return {}
    least, greatest = about.between
    return {"minimum": least, "maximum": greatest}


def description_of(about: About) -> str:
    """Return what the setting means, its range and what holds without it."""
    parts = [about.description]
    if about.range:
        parts.append(f"{about.range.capitalize()}.")
    if about.without:
        parts.append(f"Left out: {about.without}.")
    return " ".join(parts)


def default_of(field: Field[object], about: About) -> object:
    """Return the default as a file would say it; MISSING if it depends on the machine."""
    if about.section is not None or field.default_factory is dict:
        return {}
    match field.default:
        case None:
            return None
        case tuple() as items:
            return list(items)
        case StrEnum() as choice:
            return str(choice)
        case bool() | str() as plain:
            return plain
        case int() | float() as amount:
            return amount if about.kind is Kind.COUNT else about.shown(amount)
        case _:
            return MISSING
