"""What must hold whatever the rules of the model say."""

from __future__ import annotations

from tests.store.mail_jobs import EVERYTHING
from tests.store.mail_lines import Entry
from tests.store.mail_state import State


def check_lines(state: State) -> None:
    """Fail if somebody is passed, shares what is exclusive, or waits for nothing."""
    lines = state.lines
    for name in lines.names():
        holders, waiting = lines.holders(name), lines.waiting(name)
        assert not _passed(holders, waiting), "first come, first granted, in each share"
        if any(entry.need == EVERYTHING for entry in holders.values()):
            assert len(holders) == 1, "an exclusive holder is alone"
        if not state.mail and waiting and name not in lines.retries():
            head = next(iter(waiting.values()))
            assert not lines.fits(name, head.need), "nobody waits for nothing"


def check_suspects(state: State) -> None:
    """Fail if a suspect runs beside another job of its worker."""
    running = list(state.inside("running"))
    for suspect in filter(lambda job: job.is_suspect, running):
        assert [job for job in running if job.worker == suspect.worker] == [suspect]


def _passed(holders: dict[int, Entry], waiting: dict[int, Entry]) -> list[int]:
    """The places of holders behind one of their share that waits."""
    first = {entry.share: place for place, entry in sorted(waiting.items(), reverse=True)}
    return [place for place, entry in holders.items() if place > first.get(entry.share, place)]
