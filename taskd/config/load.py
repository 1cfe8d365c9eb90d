"""Flags over environment over file over defaults, and every fault at once."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

from taskd.config.document import read_document
from taskd.config.files import find_file, full_name, read_text, shown_name
from taskd.config.layer import Layer, Path
from taskd.config.limit_faults import find_limit_faults
from taskd.config.memory_faults import find_memory_faults
from taskd.config.model import check_layer
from taskd.config.overrides import Given, as_command_line, as_layer, given_flags, given_variables
from taskd.config.paths import default_state_dir, working_directory
from taskd.config.schedule_faults import find_schedule_faults
from taskd.config.sentences import is_section
from taskd.config.settings import DEFAULT_POOL, Origin, Settings, default_pools
from taskd.config.tree import plant_tree
from taskd.errors import ConfigurationInvalid, Fault

_NO_FLAGS: Mapping[str, object] = MappingProxyType({})


def load_settings(
    path: str | os.PathLike[str] | None = None,
    flags: Mapping[str, object] = _NO_FLAGS,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Resolve the settings of a daemon; reads the file, and nothing else from outside.

    `flags` holds values or texts by name (`log_level`, not `--log-level`), None for those not
    given; `burst` is a bool. Raises ConfigurationInvalid with every fault there is.
    """
    file = find_file(path, environ)
    overrides = [*given_variables(environ), *given_flags(flags)]
    settings = resolve_settings(file, overrides, environ)
    origin = Origin(config=None if file is None else full_name(file), flags=as_command_line(flags))
    return replace(settings, burst=bool(flags.get("burst")), origin=origin)


def resolve_settings(
    file: str | None, overrides: Iterable[Given], environ: Mapping[str, str]
) -> Settings:
    """Put the settings together from the file, if there is one, and the overrides given.

    Raises ConfigurationInvalid with every fault there is.
    """
    (said, *doubles), faults = _read_file(file, environ)
    pools = _pool_names(said)
    layers = [said]
    for given in overrides:
        match as_layer(given, pools, working_directory()):
            case Fault() as fault:
                faults.append(fault)
            case Layer() as layer:
                layers.append(layer)
    values: dict[str, object] = {} if pools else {"pools": {DEFAULT_POOL: _default_pool()}}
    for layer in layers:
        checked, found = check_layer(layer)
        faults += found
        values = _merge(values, checked)
    for double in doubles:
        faults += check_layer(double)[1]
    faults += find_schedule_faults(said, faults)
    faults += find_limit_faults(said)
    faults += find_memory_faults(said)
    if faults:
        raise ConfigurationInvalid(_in_order(faults))
    values.setdefault("state_dir", default_state_dir(environ))
    # By the way that they go to the children: nothing gets in that could not go on.
    return Settings.from_json(json.dumps(values))


def read_places(file: str, environ: Mapping[str, str]) -> Layer:
    """Read a file that has been resolved once more, for where its settings stand.

    Without positions if it cannot be read again, as a pipe cannot.
    """
    try:
        (said, *_), _ = _read_file(file, environ)
    except ConfigurationInvalid:
        return Layer(source=shown_name(file), values={}, directory=working_directory())
    return said


def _read_file(file: str | None, environ: Mapping[str, str]) -> tuple[list[Layer], list[Fault]]:
    """Read what the file says, and after it what its keys given twice say the second time."""
    if file is None:
        return [Layer(source="", values={}, directory=working_directory())], []
    name = shown_name(file)
    tree = plant_tree(read_document(read_text(file), name), name, environ)
    directory = os.path.dirname(full_name(file))
    layers = [
        Layer(source=name, values=each.values, directory=directory, positions=each.positions)
        for each in (tree, *tree.doubles)
    ]
    return layers, tree.faults


def _pool_names(said: Layer) -> tuple[str, ...]:
    pools = said.values.get("pools")
    return tuple(pools) if isinstance(pools, dict) else ()


def _default_pool() -> dict[str, object]:
    return asdict(default_pools()[DEFAULT_POOL])


def _merge(
    under: Mapping[str, object], over: Mapping[str, object], path: Path = ()
) -> dict[str, object]:
    merged = dict(under)
    for name, value in over.items():
        below, inner = merged.get(name), (*path, name)
        if isinstance(below, dict) and isinstance(value, dict) and is_section(inner):
            merged[name] = _merge(below, value, inner)
        else:
            merged[name] = value
    return merged


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Sort by place; a fault inside an anchor is told once, though aliases repeat it elsewhere."""
    unique: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        where = fault.column or fault.path
        unique.setdefault((fault.source, fault.line, where, fault.message), fault)
    return tuple(sorted(unique.values(), key=_place))


def _place(fault: Fault) -> tuple[bool, int, int]:
    # What is of no line comes last, in the order in which it was found.
    return fault.line is None, fault.line or 0, fault.column or 0
