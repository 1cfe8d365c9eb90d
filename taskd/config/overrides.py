"""The settings that flags and environment variables may override.

Each override becomes a layer of its own, so that a fault in it names the flag or the variable.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from taskd.config.layer import Layer
from taskd.config.scalars import read_word
from taskd.config.settings import DEFAULT_POOL
from taskd.config.weights import split_weights, written
from taskd.errors import Fault


class Form(Enum):
    """How the text of an override is read."""

    TEXT = auto()
    WORD = auto()
    """As an unquoted word of the file; `none` is null."""
    NAMES = auto()
    """Names with commas between."""
    QUEUES = auto()
    """Names with commas between, each with its weight after an equals sign or none of them."""


@dataclass(frozen=True, slots=True)
class Override:
    """A setting that has a flag and a variable: `log_level` is --log-level and TASKD_LOG_LEVEL."""

    name: str
    form: Form
    path: tuple[str, ...]
    of_pool: bool = False
    """Whether the path begins inside the only pool."""

    @property
    def flag(self) -> str:
        """The flag, as a command line has it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"TASKD_{self.name.upper()}"


OVERRIDES = (
    Override("database", Form.TEXT, ("database",)),
    Override("listen", Form.WORD, ("listen",)),
    Override("imports", Form.NAMES, ("imports",)),
    Override("queues", Form.QUEUES, ("queues",), of_pool=True),
    Override("processes", Form.WORD, ("processes",), of_pool=True),
    Override("greenlets", Form.WORD, ("greenlets",), of_pool=True),
    Override("state_dir", Form.TEXT, ("state_dir",)),
    Override("log_format", Form.TEXT, ("log", "format")),
    Override("log_level", Form.TEXT, ("log", "level")),
    Override("max_args", Form.TEXT, ("max_args",)),
    Override("pid_file", Form.TEXT, ("pid_file",)),
)
"""All settings that have a flag and a variable."""

OF_CLIENTS = frozenset({"database", "state_dir", "max_args", "listen"})
"""The names of those that matter to a program that only enqueues."""


@dataclass(frozen=True, slots=True)
class Given:
    """An override that was given, and where."""

    override: Override
    source: str
    value: object


def given_variables(environ: Mapping[str, str]) -> Iterator[Given]:
    """Find the overrides in the environment."""
    for override in OVERRIDES:
        if override.variable in environ:
            yield Given(override, override.variable, environ[override.variable])


def given_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    """Find the overrides among the flags; None stands for a flag that was not given.

    Raises ValueError for a flag that is no setting: the caller's mistake, not the user's.
    """
    known = {override.name for override in OVERRIDES} | {"burst"}
    if strange := set(flags) - known:
        raise ValueError(f"no such flags: {', '.join(sorted(strange))}")
    for override in OVERRIDES:
        if flags.get(override.name) is not None:
            yield Given(override, override.flag, flags[override.name])


def as_layer(given: Given, pools: tuple[str, ...], directory: str) -> Layer | Fault:
    """Put an override into the shape of a file; `pools` are the names of the pools in the file."""
    try:
        value = _read(given.value, given.override.form)
    except ValueError as error:
        return Fault(given.source, None, "", str(error))
    path = given.override.path
    if given.override.of_pool:
        if len(pools) > 1:
            return Fault(given.source, None, "", _several(given.override, pools))
        path = ("pools", *(pools or (DEFAULT_POOL,)), *path)
    values: dict[str, object] = {path[-1]: value}
    for step in reversed(path[:-1]):
        values = {step: values}
    return Layer(source=given.source, values=values, directory=directory)


def _several(override: Override, pools: tuple[str, ...]) -> str:
    return (
        f"there are several pools ({', '.join(pools)}): "
        f"set {override.path[-1]} for each of them in the file"
    )


def _read(value: object, form: Form) -> object:
    match value, form:
        case "", _:
            raise ValueError("is set but empty: give it a value, or take it away")
        case str(), Form.NAMES:
            return _split(value)
        case list() | tuple(), Form.NAMES:
            return [name for text in value for name in _split(str(text))]
        case str(), Form.QUEUES:
            return split_weights(_split(value))
        case list() | tuple(), Form.QUEUES:
            return split_weights([name for text in value for name in _split(str(text))])
        case str(), Form.WORD:
            return None if value == "none" else read_word(value)
        case _:
            return value


def _split(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise ValueError(f"{text!r} has an empty name between its commas")
    return names


def as_command_line(flags: Mapping[str, object]) -> tuple[str, ...]:
    """Write flags as a command line has them, for a later call with the same flags."""
    words = [f"{given.source}={_written(given.value)}" for given in given_flags(flags)]
    return (*words, "--burst") if flags.get("burst") else tuple(words)


def _written(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ",".join(str(part) for part in value)
        case dict():
            return ",".join(written(value))
        case _:
            return str(value)
