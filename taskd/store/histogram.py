"""How durations are spread: counts in fixed buckets, so that any two can be added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FIRST_BOUND = 0.0001
BUCKETS_TO_A_DOUBLING = 4
_PACKED = 10**12


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations by bucket, as taskd.bucket_v1 numbers them: 0 is up to 0.1 ms, four to a doubling.

    So a quantile is at most a tenth off. `seconds` is the sum of all.
    """

    counts: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def unpack(cls, packed: Sequence[int] | None, seconds: float) -> Histogram:
        """One of what the database has: 10^12 times the bucket plus how many, for each."""
        return cls(dict(divmod(value, _PACKED) for value in packed or ()), seconds)

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Their mean in seconds; None of nothing."""
        count = self.count
        return self.seconds / count if count else None

    def quantile(self, part: float) -> float | None:
        """How long that part (0 to 1) of all took at most, in seconds; None of nothing.

        Within its bucket it is where it would be if those in there were spread evenly.
        """
        rank = part * self.count
        below = 0
        for bucket, count in sorted(self.counts.items()):
            if below + count >= rank:
                low = upper_bound(bucket - 1) if bucket else 0.0
                return low + (upper_bound(bucket) - low) * max(rank - below, 0.0) / count
            below += count
        return None

    def cumulative(self, bounds: Sequence[int]) -> Iterator[tuple[float, int]]:
        """(upper bound in seconds, how many took at most that) of these buckets, ascending."""
        for bucket in bounds:
            yield (
                upper_bound(bucket),
                sum(count for each, count in self.counts.items() if each <= bucket),
            )

    def to_json_dict(self) -> dict[str, float | None]:
        """How many, their mean and quantiles in seconds."""
        return {
            "count": self.count,
            "mean": self.mean,
            "p50": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "p99": self.quantile(0.99),
        }


def upper_bound(bucket: int) -> float:
    """Where a bucket ends, in seconds."""
    return float(FIRST_BOUND * 2.0 ** (bucket / BUCKETS_TO_A_DOUBLING))
