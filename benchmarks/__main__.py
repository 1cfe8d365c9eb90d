"""Run the benchmarks: `python -m benchmarks [CASE ...] [--runs 3] [--json]`.

`resources` stands for all cases of resources.

Figures are ratios measured within one run, and medians of several runs: machines differ, ratios
less so. Nothing fails by time; the exit status is 0 as long as everything could be measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from benchmarks import hot, resources
from benchmarks.cases import Case, Figure, drain, idle_memory, naps
from benchmarks.daemon import embedded_server
from benchmarks.many import orders, uneven, unique
from benchmarks.purge import purge

RESOURCES: dict[str, Case] = {**resources.CASES, **hot.CASES}
CASES: dict[str, Case] = {
    "drain": drain,
    "naps": naps,
    "uneven": uneven,
    "unique": unique,
    "orders": orders,
    "purge": purge,
    "memory": idle_memory,
    **RESOURCES,
}


def main() -> None:
    """Measure the chosen cases and print them as one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES)
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each case is measured (3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    cases = [one for name in chosen.cases for one in (RESOURCES if name == "resources" else [name])]
    unknown = set(cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    results = measure(cases, chosen.runs)
    print(json.dumps(results, indent=2) if chosen.json else table(results))


def measure(cases: list[str], runs: int) -> list[dict[str, object]]:
    results = []
    with embedded_server() as server:
        tools = Path(server.bin_dir)
        for case in cases:
            figures = []
            for number in range(1, runs + 1):
                print(f"{case}: run {number} of {runs} …", file=sys.stderr, flush=True)
                figures.append(CASES[case](server, tools))
            results.append(summary(case, figures))
    return results


def summary(case: str, figures: list[Figure]) -> dict[str, object]:
    ratios = sorted(figure.ratio for figure in figures)
    middle = min(figures, key=lambda figure: abs(figure.ratio - statistics.median(ratios)))
    return {
        "case": case,
        "name": middle.name,
        "median": round(middle.ratio, 3),
        "lowest": round(ratios[0], 3),
        "highest": round(ratios[-1], 3),
        "reach": f"{'≥' if middle.bound == 'min' else '≤'} {middle.reach:g}",
        "reached": middle.is_reached,
        "detail": middle.detail,
    }


def table(results: list[dict[str, object]]) -> str:
    lines = [f"{'case':<42} {'median':>8} {'lowest':>8} {'highest':>8}  {'reach':<8} detail"]
    lines += [
        f"{one['name']:<42} {one['median']:>8} {one['lowest']:>8} {one['highest']:>8}  "
        f"{one['reach']:<8} {one['detail']}"
        for one in results
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
