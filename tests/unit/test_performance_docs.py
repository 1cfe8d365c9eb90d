"""The page about performance names every figure, its case, and every peer with its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contest.__main__ import systems
from benchmarks.contest.cases import CASES
from benchmarks.peers.peer import Peer

PAGE = (Path(__file__).parents[2] / "docs/performance.md").read_text(encoding="utf-8")
FIGURES = [(measure.title, case.name) for case in CASES.values() for measure in case.measures]
PEERS = {one.peer.folder: one.peer for one in systems() if not one.is_ours}


@pytest.mark.parametrize(("title", "case"), FIGURES)
def test_figure_stands_in_the_table_with_its_case(title: str, case: str) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| {title} |")]

    assert [f"| `{case}` |" in line for line in lines] == [True]


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_peer_stands_there_in_the_version_that_is_measured(peer: Peer) -> None:
    first = peer.requirements.read_text().splitlines()[0]
    version = first.split("==")[1]

    assert f"| {peer.folder} {version} |" in PAGE


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_all_that_a_peer_installs_is_pinned(peer: Peer) -> None:
    lines = peer.requirements.read_text().splitlines()

    assert [line for line in lines if "==" not in line] == []
