"""The greenlet that tends its worker twice a second, and sees whether the master lives.

When the master is gone, the worker drains by itself. It cannot if its hub is stuck by then, so the
pulse also winds up a timer in C, which ends the process with a dump of its stacks when nobody has
wound it up for DEAD_MAN seconds.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Callable

import gevent

from taskd.clock import monotonic
from taskd.pool import stderr
from taskd.pool.place import Place

BEAT_SECONDS = 0.5
DEAD_MAN_SECONDS = 300.0
"""At least; and always longer than the master, if there is one, lets a hub stand still."""

WIND_SECONDS = 10.0


class Pulse:
    """The pulse of one worker: calls `on_beat`, and `on_orphaned` with the seconds since."""

    def __init__(
        self, place: Place, on_beat: Callable[[], None], on_orphaned: Callable[[float], None]
    ) -> None:
        self._place = place
        self._dead_man = max(DEAD_MAN_SECONDS, 2 * place.pool_settings.hub_kill)
        self._on_beat = on_beat
        self._on_orphaned = on_orphaned
        self._orphaned_at: float | None = None
        self._wound_at = float("-inf")
        self._dumps = stderr.open_for_dumps()

    def start(self) -> None:
        """Begin to beat."""
        self.beat()
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(BEAT_SECONDS)
            self.beat()

    def beat(self) -> None:
        """Do what is due at each beat."""
        now = monotonic()
        self._wind_up(now)
        if not self._place.has_master:
            self._orphaned_at = self._orphaned_at or now
            self._on_orphaned(now - self._orphaned_at)
        self._on_beat()

    def _wind_up(self, now: float) -> None:
        if now - self._wound_at >= WIND_SECONDS:
            self._wound_at = now
            faulthandler.dump_traceback_later(self._dead_man, exit=True, file=self._dumps)
