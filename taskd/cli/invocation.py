"""What the command line says about the settings, and the settings once they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from taskd.cli.flags import given
from taskd.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from taskd.config.client import ClientSettings
    from taskd.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Invocation:
    """The flags before the verb; nothing is read until a verb asks."""

    config: str | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Invocation:
        """From the parsed options of `taskd`."""
        flags = given(options)
        config = flags.pop("config", None)
        return cls(None if config is None else str(config), flags)

    def settings(self) -> Settings:
        """All settings: flags over environment over file over defaults.

        Raises ConfigurationInvalid with every fault.
        """
        from taskd.config.load import load_settings

        return load_settings(self.config, self.flags, self.environ)

    def client(self) -> ClientSettings:
        """The few settings of a client; reads no file if flags or environment name the database.

        Raises ConfigurationInvalid with every fault.
        """
        from taskd.config.client import ClientSettings, client_settings

        if self.config is None:
            flags = {f"TASKD_{name.upper()}": str(value) for name, value in self.flags.items()}
            # A fault is told by the full resolution below: it names the flag, not a variable.
            with suppress(ConfigurationInvalid):
                return client_settings({**self.environ, **flags})
        settings = self.settings()
        return ClientSettings(
            database=settings.database,
            state_dir=settings.state_dir,
            max_args=settings.max_args,
            listen=settings.listen,
        )


def current() -> Invocation:
    """The invocation that the running verb belongs to."""
    return click.get_current_context().find_object(Invocation) or Invocation()
