"""All cases, in the order of the table."""

from __future__ import annotations

from benchmarks.contest.case import Case
from benchmarks.contest.cases import depth, idleness, latency, sleep, throughput, time

CASES: dict[str, Case] = {
    case.name: case
    for module in (throughput, sleep, latency, idleness, depth, time)
    for case in module.CASES
}
