"""What a keeper is told at its start, as words of its command line."""

from __future__ import annotations

from collections.abc import Sequence

LOCK_FD = 3
"""The descriptor of keeper.lock, which whoever starts a keeper has locked for it."""
OUTCOME_FD = 4
"""The descriptor of a pipe for the outcome: READY, ADOPTED, or the error's text."""
READY, ADOPTED = b"+", b"="


class Orders:
    """One keeper's orders.

    `max_connections` of the server; `grace`: seconds from the last user's leave to the stop;
    `account`: whom the server of root runs as, empty to choose; `programs`: the folders where
    PostgreSQL's programs may be, best first.
    """

    __slots__ = ("account", "grace", "max_connections", "programs", "state_dir")

    def __init__(
        self,
        state_dir: str,
        max_connections: int,
        grace: float,
        account: str,
        programs: Sequence[str],
    ) -> None:
        self.state_dir = state_dir
        self.max_connections = max_connections
        self.grace = grace
        self.account = account
        self.programs = tuple(programs)

    def to_words(self) -> list[str]:
        """The words that `from_words` makes the same orders of."""
        numbers = [str(self.max_connections), str(self.grace)]
        return [self.state_dir, *numbers, self.account, *self.programs]

    @classmethod
    def from_words(cls, words: Sequence[str]) -> Orders:
        """The orders in these words."""
        state_dir, max_connections, grace, account, *programs = words
        return cls(state_dir, int(max_connections), float(grace), account, programs)
