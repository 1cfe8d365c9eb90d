"""The terminal that the daemon was started on."""

from __future__ import annotations

import os

STANDARD_ERROR = 2


class Terminal:
    """Where standard error goes, if that is a terminal; a service or `nohup` has none."""

    def __init__(self) -> None:
        self._was_there = os.isatty(STANDARD_ERROR)

    @property
    def is_gone(self) -> bool:
        """Whether it was there at the start and has been closed: then HUP means "we leave"."""
        return self._was_there and not os.isatty(STANDARD_ERROR)
