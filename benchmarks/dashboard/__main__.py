"""What is promised of the dashboard, on a real daemon and a real server.

python -m benchmarks.dashboard pages                  5,000,000 queued, 1,000,000 finished: minutes
python -m benchmarks.dashboard pages --queued 100000 --finished 20000
python -m benchmarks.dashboard viewers --runs 10      drains, with ten viewers and with none
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.daemon import embedded_server
from benchmarks.dashboard import pages, viewers


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case", nargs="*", default=["pages", "viewers"], metavar="CASE")
    parser.add_argument("--queued", type=int, default=5_000_000, help="jobs that wait (5000000)")
    parser.add_argument("--finished", type=int, default=1_000_000, help="that ended (1000000)")
    parser.add_argument("--jobs", type=int, default=viewers.JOBS, help="of a drain (200000)")
    parser.add_argument("--runs", type=int, default=5, help="pairs of drains (5)")
    chosen = parser.parse_args()
    if chosen.finished < 50:
        parser.error("--finished: at least 50, of which one fails")
    unknown = set(chosen.case) - {"pages", "viewers"}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are pages, viewers")
    with embedded_server() as server:
        if "pages" in chosen.case:
            print(pages.table(pages.measure(server, chosen.queued, chosen.finished)), flush=True)
        if "viewers" in chosen.case:
            pairs = []
            for number in range(chosen.runs):
                print(f"viewers: pair {number + 1} of {chosen.runs} …", file=sys.stderr, flush=True)
                pair = viewers.pair(server, is_first=bool(number % 2), jobs=chosen.jobs)
                pairs.append(pair)
            print(viewers.table(pairs))


if __name__ == "__main__":
    main()
