"""The settings that a daemon keeps from its start to its end, whatever a reload finds.

Processes of two generations work side by side after a reload, and maintenance and workers must
agree on the database and the lease. Which settings last stands with each, as `is_lasting`.
"""

from dataclasses import replace
from typing import Any

from taskd.config.about import fields_with_about
from taskd.config.settings import Settings


def lasting_settings() -> tuple[str, ...]:
    """The names of the settings that only a restart changes."""
    abouts = fields_with_about(Settings).items()
    return tuple(name for name, (_, about) in abouts if about.is_lasting)


def keep_lasting(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The new settings with what lasts as it was, and the names of what would have changed."""
    kept: dict[str, Any] = {name: getattr(old, name) for name in lasting_settings()}
    changed = tuple(name for name, value in kept.items() if getattr(new, name) != value)
    return replace(new, **kept), changed
