"""The folder in which a test tells the stand-ins what to do, and reads what they did."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.waiting import eventually

FOR_EVER = 3600.0


class Stage:
    """One file a role with the word it acts by, and the journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal = folder / "journal"

    @classmethod
    def of_this_process(cls) -> Stage:
        return cls(Path(os.environ["FAKES"]))

    def direct(self, role: str, word: str) -> None:
        """Let processes of a role act by this word from now on."""
        draft = self.folder / f"{role}.draft"
        draft.write_text(word)
        draft.rename(self.folder / role)

    def word(self, role: str) -> str:
        """What a role is told to do; `well` unless a test says otherwise."""
        path = self.folder / role
        return path.read_text() if path.exists() else "well"

    def word_other_than(self, waiting: str, *roles: str) -> str:
        """The first word of these roles that is not `well`; waits while it is to wait."""

        def word() -> str | None:
            found = next((word for word in map(self.word, roles) if word != "well"), "well")
            return None if found == waiting else found

        return eventually(word, FOR_EVER) or ""

    def note(self, role: str, did: str, **fields: Any) -> None:
        """Write a line into the journal; one write, so that lines of all processes stay whole."""
        line = json.dumps({"role": role, "did": did, "pid": os.getpid(), **fields})
        fd = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode() + b"\n")
        os.close(fd)

    def notes(self, role: str, did: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of a role about one kind of deed, oldest first."""
        if not self._journal.exists():
            return []
        wanted = {"role": role, "did": did, **fields}
        whole, _, _ = self._journal.read_bytes().rpartition(b"\n")  # a long line may be on its way
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if wanted.items() <= line.items()]
