"""What the pages have to show beside jobs that do nothing."""

from __future__ import annotations

import time

from taskd import Every, task

SCHEDULES = 50
CAUSES = 2000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@task(queue="bench", schedule=[Every(86400.0, name=f"daily-{n}") for n in range(SCHEDULES)])
def report() -> None:
    """What has slots, none of which comes while pages are measured."""


@task(queue="bench")
def fail_in_its_way(number: int) -> None:
    """What ends with one of CAUSES errors; in letters, for figures make no other cause."""
    word, rest = "", number % CAUSES
    for _ in range(3):
        rest, letter = divmod(rest, len(_LETTERS))
        word += _LETTERS[letter]
    raise LookupError(f"there is no {word}")


@task(queue="bench")
def stand(number: int) -> None:
    """What runs as long as it is let."""
    time.sleep(86400)
