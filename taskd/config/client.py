"""The few settings that a program needs to enqueue jobs and to ask after them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from taskd.config.about import fields_with_about
from taskd.config.dsn import check_dsn
from taskd.config.files import find_file
from taskd.config.paths import absolute_path, default_state_dir, working_directory
from taskd.config.sentences import refused
from taskd.config.settings import DEFAULT_MAX_ARGS, Settings
from taskd.config.units import parse_size
from taskd.errors import ConfigurationInvalid, Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What enqueueing needs: the database (None: the embedded one), its folder, and a limit."""

    database: str | None = field(repr=False)
    state_dir: str
    max_args: int
    """Bytes that the arguments of one job may take as JSON text."""
    listen: bool | str = field(default=True, repr=False)
    """Where to hear of the end of a job: on the database, on another connection string, nowhere."""


def client_settings(environ: Mapping[str, str] = os.environ) -> ClientSettings:
    """Resolve the settings of a client, from variables alone if TASKD_DATABASE is set.

    Otherwise they come from the configuration file too, if there is one; only then is YAML
    imported. Raises ConfigurationInvalid with every fault there is.
    """
    file = None if "TASKD_DATABASE" in environ else find_file(None, environ)
    return _from_variables(environ) if file is None else _from_file(file, environ)


def _from_file(file: str, environ: Mapping[str, str]) -> ClientSettings:
    from taskd.config.load import resolve_settings
    from taskd.config.overrides import OF_CLIENTS, given_variables

    # A daemon's variables, such as TASKD_GREENLETS, are none of a client's business.
    overrides = [given for given in given_variables(environ) if given.override.name in OF_CLIENTS]
    settings = resolve_settings(file, overrides, environ)
    return ClientSettings(
        database=settings.database,
        state_dir=settings.state_dir,
        max_args=settings.max_args,
        listen=settings.listen,
    )


def _from_variables(environ: Mapping[str, str]) -> ClientSettings:
    faults: list[Fault] = []

    def read(name: str, check: Callable[[str], T]) -> T | None:
        text = environ.get(f"TASKD_{name.upper()}")
        try:
            return None if text is None else check(text)
        except ValueError as error:
            message = refused((name,), text, str(error))
            faults.append(Fault(f"TASKD_{name.upper()}", None, "", message))
            return None

    database = read("database", check_dsn)
    state_dir = read("state_dir", lambda text: absolute_path(text, working_directory()))
    max_args = read("max_args", _check_max_args)
    listen = read("listen", _check_listen)
    if faults:
        raise ConfigurationInvalid(tuple(faults))
    return ClientSettings(
        database=database,
        state_dir=state_dir or default_state_dir(environ),
        max_args=max_args or DEFAULT_MAX_ARGS,
        listen=True if listen is None else listen,
    )


def _check_listen(text: str) -> bool | str:
    return text == "true" if text in ("true", "false") else check_dsn(text)


def _check_max_args(text: str) -> int:
    size = parse_size(text)
    _, about = fields_with_about(Settings)["max_args"]
    if about.between and not about.between[0] <= size <= about.between[1]:
        raise ValueError(f"is not {about.range}")
    return size
