"""What is promised of leaks and of replacing workers, on real daemons.

python -m benchmarks.leaks.live hunt --runs 5      a canary: the task, its bytes, the line
python -m benchmarks.leaks.live cost --runs 20     drains, watched by turns
python -m benchmarks.leaks.live recycle            every worker replaced under full load
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from benchmarks.daemon import embedded_server
from benchmarks.leaks import cost, hunt, recycle

LEAKS = (10_240, 1024, 0)


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.leaks.live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case", nargs="*", default=["hunt", "cost", "recycle"])
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (3)")
    chosen = parser.parse_args()
    unknown = set(chosen.case) - {"hunt", "cost", "recycle"}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are hunt, cost, recycle")
    turns = range(chosen.runs)
    with embedded_server() as server:
        if "hunt" in chosen.case:
            runs = _told("hunt", [leak for _ in turns for leak in LEAKS])
            print(hunt.table([hunt.hunt(server, leak) for leak in runs]), flush=True)
        if "cost" in chosen.case:
            pairs = [pair for _ in _told("cost", turns) for pair in cost.drain(server)]
            print(cost.table(pairs), flush=True)
        if "recycle" in chosen.case:
            print(recycle.table([recycle.recycle(server) for _ in _told("recycle", turns)]))


def _told(case: str, runs: Iterable[int]) -> Iterator[int]:
    """The runs, each told when it begins."""
    for number, run in enumerate(runs, 1):
        print(f"{case}: run {number} …", file=sys.stderr, flush=True)
        yield run


if __name__ == "__main__":
    main()
