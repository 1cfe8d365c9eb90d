from __future__ import annotations

import pytest

from taskd.store.histogram import Histogram, upper_bound


def test_a_quantile_of_nothing_is_none() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None


def test_two_buckets_up_is_the_root_of_two_longer_and_four_are_twice_as_long() -> None:
    assert upper_bound(0) == 0.0001
    assert upper_bound(42) / upper_bound(40) == pytest.approx(2**0.5)
    assert upper_bound(44) == pytest.approx(2 * upper_bound(40))


def test_the_packed_form_is_a_number_a_bucket() -> None:
    found = Histogram.unpack([3_000_000_000_007, 12], seconds=1.5)

    assert found.counts == {3: 7, 0: 12}
    assert found.count == 19
    assert found.mean == pytest.approx(1.5 / 19)


def test_a_quantile_lies_in_the_bucket_that_its_rank_falls_into() -> None:
    spread = Histogram({10: 50, 20: 49, 30: 1})

    for part, bucket in ((0.5, 10), (0.51, 20), (0.99, 20), (0.995, 30), (1.0, 30)):
        found = spread.quantile(part)
        assert found is not None
        assert upper_bound(bucket - 1) < found <= upper_bound(bucket) * 1.000001


def test_the_quantile_of_no_part_is_where_the_first_bucket_begins() -> None:
    assert Histogram({10: 5}).quantile(0.0) == upper_bound(9)


def test_cumulative_counts_take_in_all_buckets_below() -> None:
    assert list(Histogram({0: 1, 4: 2, 9: 3}).cumulative([4, 8, 12])) == [
        (upper_bound(4), 3),
        (upper_bound(8), 3),
        (upper_bound(12), 6),
    ]
