"""The settings as pydantic models, made of the dataclasses in `settings` and what they tell.

A model checks one layer: types, ranges, unknown keys, all faults at once. Defaults play no part
in that, for a layer says only what it says; they stand in the models for the JSON schema.
"""

from collections.abc import Callable
from dataclasses import MISSING
from dataclasses import Field as DataclassField
from functools import partial
from operator import getitem
from types import GenericAlias
from typing import Annotated, Any, Optional

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from taskd.config import sentences
from taskd.config.about import About, Kind, Sectioned, fields_with_about
from taskd.config.dsn import check_dsn
from taskd.config.forms import default_of, description_of, form_of
from taskd.config.layer import LEFT_OUT, Layer, Path
from taskd.config.names import (
    LIMIT_PATTERN,
    POOL_PATTERN,
    QUEUE_PATTERN,
    SCHEDULE_PATTERN,
    check_class_name,
    check_limit_name,
    check_module_name,
    check_pool_name,
    check_queue_name,
    check_schedule_name,
)
from taskd.config.paths import absolute_path
from taskd.config.plugins import without_plugins
from taskd.config.queues import LimitSettings, QueueSettings
from taskd.config.repeats import find_repeats
from taskd.config.schedules import ScheduleSettings
from taskd.config.sections import PoolSettings
from taskd.config.settings import Settings
from taskd.config.units import parse_duration, parse_share, parse_size
from taskd.config.values import (
    TEXT_CHECKS,
    check_json,
    check_rate,
    check_text,
    choose,
    parse_days,
    read_count,
    read_listen,
    read_memory,
)
from taskd.config.versions import check_version
from taskd.config.weights import check_weight
from taskd.errors import Fault

_STRICT = ConfigDict(extra="forbid", strict=True)

_NAMES: dict[object, tuple[str, Callable[[str], str]]] = {
    PoolSettings: (POOL_PATTERN, check_pool_name),
    QueueSettings: (QUEUE_PATTERN, check_queue_name),
    LimitSettings: (LIMIT_PATTERN, check_limit_name),
    ScheduleSettings: (SCHEDULE_PATTERN, check_schedule_name),
}
"""What the names of sections may be."""

_EMPTY: dict[Kind, Callable[[], object]] = {
    Kind.QUEUES: list,
    Kind.MODULES: list,
    Kind.VERSIONS: list,
    Kind.CLASSES: list,
    Kind.TASKS: list,
    Kind.ARGUMENTS: list,
    Kind.KEYWORDS: dict,
}
"""What may stand empty, as `queues:` with nothing after it, and what it is then."""

_BETWEEN_SETTINGS: dict[object, JsonDict] = {
    LimitSettings: {"anyOf": [{"required": ["concurrency"]}, {"required": ["rate"]}]},
    ScheduleSettings: {
        "required": ["task"],
        "oneOf": [{"required": ["cron"]}, {"required": ["every"]}, {"required": ["run_at"]}],
    },
}
"""What the schema says beside the single settings of a section."""


def check_layer(layer: Layer) -> tuple[dict[str, object], list[Fault]]:
    """Check one layer; returns what it says in the shape of `Settings`, and all its faults."""
    faults = list(find_repeats(layer))
    try:
        model = SETTINGS_MODEL.model_validate(layer.values, context=layer.directory)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults += [_fault(layer, each) for each in found if each["input"] is not LEFT_OUT]
        return {}, faults
    return model.model_dump(exclude_unset=True), faults


def _fault(layer: Layer, found: ErrorDetails) -> Fault:
    path: Path = found["loc"]
    match found["type"]:
        case "extra_forbidden":
            return layer.fault(path, sentences.unknown(path))
        case "value_error" if path[-1] == "[key]":
            named = "" if layer.positions else f"{sentences.shown(path[-2])} "
            return layer.fault(path[:-1], named + _reason(found))
        case "value_error":
            return layer.fault(path, sentences.refused(path, layer.value_at(path), _reason(found)))
        case "greater_than_equal" | "less_than_equal":
            return layer.fault(path, sentences.out_of_range(path, layer.value_at(path)))
        case _:
            return layer.fault(path, sentences.unfit(path, layer.value_at(path)))


def _reason(found: ErrorDetails) -> str:
    return str(found["ctx"]["error"])


def _model_of(section: type[Sectioned]) -> type[BaseModel]:
    definitions: dict[str, Any] = {
        name: (_annotation(field, about), _described(field, about))
        for name, (field, about) in fields_with_about(section).items()
    }
    config = ConfigDict(**_STRICT, json_schema_extra=_BETWEEN_SETTINGS.get(section))
    return create_model(section.__name__, __config__=config, __doc__="", **definitions)


def _described(field: DataclassField[object], about: About) -> FieldInfo:
    default = default_of(field, about)
    # pydantic leaves the result of a factory out of the schema.
    optional = {"default_factory": str} if default is MISSING else {"default": default}
    return FieldInfo(
        description=description_of(about), json_schema_extra=_of_names(about), **optional
    )


def _of_names(about: About) -> JsonDict | None:
    if about.kind is not Kind.SECTIONS:
        return None
    pattern, _ = _NAMES[about.section]
    return {"propertyNames": {"pattern": pattern}}


def _annotation(field: DataclassField[object], about: About) -> object:
    if about.section is not None:
        return _section(about, _model_of(about.section))
    annotation = _annotated(_checked(about), WithJsonSchema(form_of(about)))
    if about.kind in _EMPTY:
        empty = _EMPTY[about.kind]
        return _annotated(
            getitem(Optional, annotation), AfterValidator(lambda found: found or empty())
        )
    return getitem(Optional, annotation) if field.default is None else annotation


def _section(about: About, model: type[BaseModel]) -> object:
    """Allow a section to stand empty, as `log:` does in a file with nothing below it."""
    section = _annotated(
        getitem(Optional, model), AfterValidator(lambda found: model() if found is None else found)
    )
    if about.kind is Kind.SECTION:
        return section
    _, check = _NAMES[about.section]
    named = GenericAlias(dict, (Annotated[str, AfterValidator(check)], section))
    return _annotated(getitem(Optional, named), AfterValidator(lambda found: found or {}))


def _annotated(annotation: object, *marks: object) -> object:
    # Subscribed by hand: type checkers take no type that is only known at run time.
    return getitem(Annotated, (annotation, *marks))


def _checked(about: About) -> object:
    least, greatest = about.between or (None, None)
    bounds = Field(ge=least, le=greatest)
    match about.kind:
        case Kind.COUNT:
            return Annotated[int, BeforeValidator(read_count), bounds]
        case Kind.DURATION:
            return Annotated[float, BeforeValidator(parse_duration), bounds]
        case Kind.DAYS:
            return Annotated[float, BeforeValidator(parse_days), bounds]
        case Kind.SIZE:
            return Annotated[int, BeforeValidator(parse_size), bounds]
        case Kind.SHARE:
            return Annotated[float, BeforeValidator(parse_share), bounds]
        case Kind.MEMORY:
            return Annotated[object, PlainValidator(read_memory)]
        case _:
            return _checked_list(about)


def _checked_list(about: About) -> object:
    match about.kind:
        case Kind.MODULES:
            return _names(check_module_name)
        case Kind.VERSIONS:
            return _names(check_version)
        case Kind.CLASSES:
            return _names(check_class_name)
        case Kind.TASKS:
            return _names(check_schedule_name)
        case Kind.QUEUES:
            return Annotated[object, PlainValidator(_read_queues)]
        case Kind.ARGUMENTS:
            return Annotated[list[Any], AfterValidator(check_json)]
        case Kind.KEYWORDS:
            return Annotated[dict[str, Any], AfterValidator(check_json)]
        case _:
            return _checked_text(about)


def _checked_text(about: About) -> object:
    match about.kind:
        case Kind.CHOICE:
            return Annotated[object, PlainValidator(partial(choose, about.choices))]
        case Kind.PATH:
            return Annotated[str, AfterValidator(_absolute)]
        case Kind.DSN:
            return Annotated[str, AfterValidator(check_dsn)]
        case Kind.RATE:
            return Annotated[object, PlainValidator(check_rate)]
        case Kind.LISTEN:
            return Annotated[object, PlainValidator(read_listen)]
        case _:
            return Annotated[str, AfterValidator(TEXT_CHECKS.get(about.kind, check_text))]


def _names(check: Callable[[str], str]) -> object:
    return GenericAlias(list, (Annotated[str, AfterValidator(check)],))


_QueueName = Annotated[str, AfterValidator(check_queue_name)]
_Weight = Annotated[int, PlainValidator(check_weight)]
with without_plugins():
    _QUEUES = TypeAdapter(list[_QueueName], config=_STRICT)
    _WEIGHTS = TypeAdapter(dict[_QueueName, _Weight], config=_STRICT)


def _read_queues(value: object) -> object:
    # Not a union, which would tell what is wrong as a list and what is wrong as a mapping.
    queues = _WEIGHTS if isinstance(value, dict) else _QUEUES
    return queues.validate_python(value)


def _absolute(text: str, info: ValidationInfo) -> str:
    return absolute_path(text, str(info.context))


with without_plugins():
    SETTINGS_MODEL = _model_of(Settings)
"""The model of a whole file."""
