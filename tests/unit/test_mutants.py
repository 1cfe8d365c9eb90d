"""The lines that `make mutants` breaks are there: it takes too long to be tried at each change."""

from __future__ import annotations

import pytest

from tests.store.mutants import MUTANTS, ROOT, SQL, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_breaks_is_there(mutant: Mutant) -> None:
    text = (ROOT / SQL / mutant.file).read_text(encoding="utf-8")

    assert mutant.broken(text) != text
