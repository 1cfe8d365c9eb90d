from __future__ import annotations

from taskd.maintenance.lease import Watch
from taskd.maintenance.rescue import DeadHost

LEASE = 15.0


def seen(watch: Watch, begin: float, seconds: int, beat: int = 7) -> list[float]:
    """Watch a host that stands still, once a second; the times at which it is dead."""
    times = [begin + second for second in range(seconds + 1)]
    return [time for time in times if watch.observe(time, {1: beat})]


def test_a_host_that_stands_still_for_a_whole_lease_is_dead() -> None:
    assert seen(Watch(LEASE), 100.0, 16) == [115.0, 116.0]


def test_the_verdict_names_the_beat_that_was_seen() -> None:
    watch = Watch(LEASE)
    seen(watch, 100.0, 14, beat=41)

    assert watch.observe(115.0, {1: 41, 2: 5}) == (DeadHost(1, 41),)


def test_a_host_that_beats_is_alive_however_slowly() -> None:
    watch = Watch(LEASE)

    dead = [watch.observe(float(second), {1: second // 14}) for second in range(100)]

    assert not any(dead)


def test_after_a_failed_beat_nobody_is_judged_for_a_lease() -> None:
    watch = Watch(LEASE)
    seen(watch, 100.0, 14)

    watch.forget()

    assert seen(watch, 115.0, 15) == [130.0]


def test_an_observer_that_was_stopped_itself_begins_to_count_anew() -> None:
    watch = Watch(LEASE)
    seen(watch, 100.0, 3)

    assert seen(watch, 160.0, 14) == []


def test_a_host_that_ended_is_forgotten() -> None:
    watch = Watch(LEASE)
    seen(watch, 100.0, 10)

    watch.observe(111.0, {})

    assert seen(watch, 112.0, 14) == []
