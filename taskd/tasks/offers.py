"""Which versions of the code this process offers."""

from __future__ import annotations

from collections.abc import Sequence

from taskd.config.settings import Settings
from taskd.tasks.names import is_inside
from taskd.tasks.registry import registry


def offered_versions(settings: Settings) -> frozenset[str]:
    """The versions that jobs may require of this code, once `imports` are imported.

    Those that its tasks require, and those that the configuration adds.
    """
    return _required(settings.imports) | frozenset(settings.offers)


def _required(imports: Sequence[str]) -> frozenset[str]:
    return frozenset(
        task.defaults.requires
        for task in registry
        if task.defaults.requires is not None and is_inside(task.function.__module__, imports)
    )
