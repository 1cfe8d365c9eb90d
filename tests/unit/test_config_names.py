from __future__ import annotations

import pytest

from taskd.config.names import check_module_name, check_pool_name, check_queue_name


@pytest.mark.parametrize("name", ["io", "a", "cpu-2", "io_fast", "a" * 32])
def test_pool_is_named_by_a_short_word(name: str) -> None:
    assert check_pool_name(name) == name


@pytest.mark.parametrize("name", ["", "IO", "2io", "-io", "i o", "a" * 33, "é", "io\n", "io\0"])
def test_anything_else_is_no_name_for_a_pool(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a pool"):
        check_pool_name(name)


@pytest.mark.parametrize("name", ["default", "no", "Mail/EU", "приём", "a b", "😀", "q" * 100, "5"])
def test_queue_may_have_nearly_any_name(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("q" * 101, "at most 100"),
        ("a,b", "commas"),
        ("a@v2", "@ parts a queue from a version"),
        ("a\0", "control"),
        ("a\nb", "control"),
        ("a\x85b", "control"),
        ("a\udcff", "control"),
        (" a", "space"),
        ("a\u00a0", "space"),
    ],
)
def test_name_that_a_line_or_a_list_could_not_hold_is_no_queue(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_queue_name(name)


@pytest.mark.parametrize("name", ["shop", "shop.tasks", "_a.b1", "größe.x"])
def test_module_is_named_by_its_dotted_path(name: str) -> None:
    assert check_module_name(name) == name


@pytest.mark.parametrize("name", ["", "shop.", ".shop", "shop/tasks.py", "a b", "a.import", "1a"])
def test_anything_else_is_no_module(name: str) -> None:
    with pytest.raises(ValueError, match="dotted module name such as"):
        check_module_name(name)
