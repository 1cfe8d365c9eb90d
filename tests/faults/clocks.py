"""Clocks that are wrong: libfaketime shifts what a process takes for the time of day."""

from __future__ import annotations

import platform
from pathlib import Path

from tests.servers import install

LIBRARY = Path(f"/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1")


class Clock:
    """The time of day of some processes; may step at any moment. Skips where it cannot be had."""

    def __init__(self, file: Path, shift: float) -> None:
        install("libfaketime", LIBRARY)
        self._file = file
        self.set(shift)

    def set(self, shift: float) -> None:
        """From now on so many seconds ahead of the true time, or behind it."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{shift:+g}s\n")
        new.chmod(0o644)
        new.rename(self._file)

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of a process that shall have this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
