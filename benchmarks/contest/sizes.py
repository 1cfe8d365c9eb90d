"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Whole sizes; `scaled` makes all of them smaller."""

    drain: int = 100_000
    drain_seconds: float = 60.0
    """Who has not finished by then is judged by what it did until then."""
    growth: int = 400_000
    """Jobs of the drains with 1, 2, 4 and 8 workers: eight begin within 0.4 s, and nobody's start
    is to count."""
    growth_of_peers: int = 20_000
    """Theirs last as long with fewer."""
    each: int = 5_000
    bulk: int = 50_000
    naps: int = 2_000
    samples: int = 2_000
    gap: float = 0.02
    """Mean pause between the jobs of the latency case, in seconds."""
    settle: float = 65.0
    """Seconds without a job before what is idle is counted."""
    idle: float = 30.0
    held: float = 60.0
    recycle: float = 300.0
    """Workers are replaced so often while a transaction is held open, at least once."""
    shallow: int = 100_000
    deep: int = 500_000
    scheduled: int = 100_000
    row: int = 200_000

    def scaled(self, scale: float) -> Sizes:
        """The same, so many times as large, but never too small to say something."""

        def jobs(count: int, least: int) -> int:
            return max(int(count * scale), min(count, least))

        def seconds(time: float, least: float) -> float:
            return max(time * scale, min(time, least))

        return replace(
            self,
            drain=jobs(self.drain, 1_000),
            growth=jobs(self.growth, 1_000),
            growth_of_peers=jobs(self.growth_of_peers, 1_000),
            each=jobs(self.each, 100),
            bulk=jobs(self.bulk, 1_000),
            naps=jobs(self.naps, 200),
            samples=jobs(self.samples, 20),
            settle=seconds(self.settle, 1.0),
            idle=seconds(self.idle, 3.0),
            held=seconds(self.held, 6.0),
            shallow=jobs(self.shallow, 2_000),
            deep=jobs(self.deep, 10_000),
            scheduled=jobs(self.scheduled, 5_000),
            row=jobs(self.row, 20_000),
        )


LONG = Sizes(held=1_800.0, deep=5_000_000, scheduled=1_000_000, row=10_000_000)
"""The long form: hours."""
