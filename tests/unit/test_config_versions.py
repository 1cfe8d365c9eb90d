from __future__ import annotations

import pytest

from taskd.config.names import QUEUE_LENGTH
from taskd.config.versions import check_version, read_part, written_part


@pytest.mark.parametrize("name", ["v2", "2", "2026-03-01", "1.4.0+build_7", "a" * 32])
def test_a_version_is_a_short_word(name: str) -> None:
    assert check_version(name) == name


@pytest.mark.parametrize("name", ["", "-v2", "v 2", "v@2", "v,2", "a" * 33, "é", "v2\n"])
def test_anything_else_is_no_version(name: str) -> None:
    with pytest.raises(ValueError, match="is no version: 1 to 32"):
        check_version(name)


@pytest.mark.parametrize("name", [2, None, ["v2"], ("v2", "v3"), b"v2"])
def test_a_version_is_one_text(name: object) -> None:
    with pytest.raises(ValueError, match="give one text such as 'v2'"):
        check_version(name)


@pytest.mark.parametrize("version", [None, "v2", "1.4.0+build_7"])
@pytest.mark.parametrize("queue", ["sync", "a b", "приём"])
def test_the_part_of_a_queue_tells_queue_and_version(queue: str, version: str | None) -> None:
    assert read_part(written_part(queue, version)) == (queue, version)


def test_the_longest_part_has_a_place_on_the_board() -> None:
    from taskd.board import Board, LaneTable

    table = LaneTable(Board.create(slots=1, lanes=1))
    longest = written_part("😀" * QUEUE_LENGTH, "v" * 32)

    assert table.add(longest, 5).queue == longest
