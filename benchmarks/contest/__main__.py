"""taskd beside its peers: `python -m benchmarks.contest [--cases A,B] [--peers A,B] …`.

Figures are medians of several runs, and ratios to what was measured in the same runs. Nothing fails
by time: who cannot do a case is a line of the table that says why.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from benchmarks.contest import report
from benchmarks.contest.cases import CASES
from benchmarks.contest.run import Plan, Runner, Sample
from benchmarks.contest.sizes import LONG, Sizes
from benchmarks.daemon import embedded_server
from benchmarks.peers.peer import Peer, System

PEERS = ("taskd", "procrastinate", "pgqueuer", "dramatiq", "celery", "rq", "huey")
MAX_CONNECTIONS = 400
SMALL = ("drain", "each", "naps", "latency")
SMALL_SCALE = 0.01


def main() -> None:
    """Measure what was asked for, and print it as one table."""
    signal.signal(signal.SIGTERM, _end)
    parser = _parser()
    chosen = parser.parse_args()
    known = systems()
    if chosen.small:
        _make_small(chosen)
    try:
        plan = Plan(
            cases=[CASES[name] for name in _split(chosen.cases) or CASES],
            systems=report.systems_named(_split(chosen.peers), known) if chosen.peers else known,
            runs=chosen.runs,
            sizes=_sizes(chosen),
            keeps_history=chosen.history == "kept",
        )
    except KeyError as unknown:
        there = ", ".join([*CASES, *(one.name for one in known)])
        parser.error(f"no such case or peer: {unknown}; there are {there}")
    samples = measure(plan, chosen.json)
    print(report.table(report.rows(plan, samples)))


def _end(number: int, frame: object) -> NoReturn:
    """Ends by an exception, so that what was started is stopped."""
    raise SystemExit(128 + number)


def systems() -> list[System]:
    """All peers on all stores they can use, taskd first."""
    peers: list[Peer] = [import_module(f"benchmarks.peers.{name}.peer").PEER for name in PEERS]
    return [System(peer, store) for peer in peers for store in peer.stores]


def measure(plan: Plan, path: Path | None) -> list[Sample]:
    """All samples; the file has those there are, so that a run may be broken off."""
    samples = []
    with embedded_server(MAX_CONNECTIONS) as server:
        for sample in Runner(plan, server, Path(server.bin_dir)).samples():
            samples.append(sample)
            print(f"  {_said(sample)}", file=sys.stderr, flush=True)
            if path is not None:
                path.write_text(json.dumps(report.as_json(plan, samples), indent=2) + "\n")
    return samples


def _said(sample: Sample) -> str:
    figures = ", ".join(f"{key} {value:,.4g}" for key, value in sample.values.items())
    return f"{sample.system}: {figures or f'failed: {sample.failure}'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contest", description=__doc__)
    parser.add_argument("--cases", default="", metavar="A,B", help=", ".join(CASES))
    names = ", ".join(one.name for one in systems())
    parser.add_argument("--peers", default="", metavar="A,B", help=names)
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 is a small version (1)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures there")
    parser.add_argument(
        "--history", choices=("kept", "dropped"), default="kept", help="what peers keep of jobs"
    )
    parser.add_argument("--small", action="store_true", help="taskd alone, once, tiny: seconds")
    parser.add_argument("--long", action="store_true", help="the long form: hours")
    for name in ("held", "deep", "scheduled", "row"):
        parser.add_argument(f"--{name}", type=int, help=f"the size of this case ({_default(name)})")
    return parser


def _make_small(chosen: argparse.Namespace) -> None:
    chosen.cases, chosen.peers = ",".join(SMALL), "taskd"
    chosen.runs, chosen.scale = 1, SMALL_SCALE


def _default(name: str) -> str:
    return f"{getattr(Sizes(), name):,}; long form {getattr(LONG, name):,}"


def _sizes(chosen: argparse.Namespace) -> Sizes:
    sizes = (LONG if chosen.long else Sizes()).scaled(chosen.scale)
    given = {name: getattr(chosen, name) for name in ("held", "deep", "scheduled", "row")}
    return replace(sizes, **{name: value for name, value in given.items() if value is not None})


def _split(text: str) -> Sequence[str]:
    return [one for one in text.split(",") if one]


if __name__ == "__main__":
    main()
