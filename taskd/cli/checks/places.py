"""Where in the file the settings stand that a check finds something about."""

from __future__ import annotations

import os

from taskd.config.layer import Layer
from taskd.config.load import read_places
from taskd.config.settings import Settings


def places_of(settings: Settings) -> Layer:
    """Where in the file each setting stands; nowhere if there is no file."""
    if settings.origin.config is None:
        return Layer(source="settings", values={}, directory=settings.origin.directory)
    return read_places(settings.origin.config, os.environ)
