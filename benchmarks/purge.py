"""What a purge of many ended jobs costs those who work meanwhile, and in memory.

Run by itself it is the purging process: `python -m benchmarks.purge DSN` prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from benchmarks.cases import Figure
from benchmarks.daemon import fresh_database
from taskd.store import bulk, hosts, jobs
from taskd.store.connect import Connection, connect
from taskd.store.embedded import Server
from taskd.store.literals import integer_array, text_array
from taskd.store.rows import NewJobs, State

MANY = 1_500_000
BATCH = 100
BEFORE_SECONDS = 10.0

_FILL = """
INSERT INTO taskd.history (
    id, fence, worker, created_at, started_at, finished_at, priority, attempt, max_attempts, state,
    queue, task, args)
SELECT nextval('taskd.job_seq'), n, 1, now(), now(), now() - interval '2 h', 5, 1, 1, 's',
       'old', 'benchmarks.tasks.noop', '[' || n || ']'
FROM generate_series(1, %s) n
"""


def purge(server: Server, tools: Path, many: int = MANY) -> Figure:
    """Purge of many ended jobs while others are enqueued, claimed and completed on a connection."""
    dsn = fresh_database(server, "bench_purge")
    with closing(connect(dsn)) as connection:
        connection.execute(_FILL, (many,))
        connection.execute("VACUUM ANALYZE taskd.history")
        connection.execute("CHECKPOINT")
        loop = Loop(connection)
        end = time.monotonic() + BEFORE_SECONDS
        before = loop.rate_while(lambda: time.monotonic() < end)
        command = [sys.executable, "-m", "benchmarks.purge", dsn]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as purging:
            during = loop.rate_while(lambda: purging.poll() is None)
            told = json.loads(purging.communicate()[0])
    if told["purged"] != many:
        raise SystemExit(f"purge: {told['purged']} of {many} jobs were purged")
    detail = (
        f"{told['seconds']:.1f} s, {told['steps']} steps, the longest {told['longest']:.2f} s; "
        f"peak of the purging process +{told['grown']:.1f} MiB, its backend after a step "
        f"+{told['backend_grown']:.1f}; {during:,.0f} claims/s, before {before:,.0f}; "
        f"the slowest claim {loop.slowest_claim:.2f} s"
    )
    return Figure(f"claims while {many:,} are purged ÷ before", during / before, detail, 0.5, "min")


class Loop:
    """Enqueues, claims and completes, a batch at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        host = hosts.register_host(connection, uuid4(), "bench", 1, "0")
        self._worker = hosts.register_worker(connection, host, 1, "bench", 0, 1) or 0
        self._new = NewJobs("benchmarks.tasks.noop", ["[1]"] * BATCH, [None] * BATCH, queue="bench")
        self._mark = 0
        self.slowest_claim = 0.0  # s, of the last `rate_while`

    def rate_while(self, goes_on: Callable[[], bool]) -> float:
        """Work on; how many jobs were claimed a second."""
        self.slowest_claim = 0.0
        claimed, began = 0, time.monotonic()
        while goes_on():
            claimed += self._step()
        return claimed / (time.monotonic() - began)

    def _step(self) -> int:
        jobs.enqueue_jobs(self._connection, self._new)
        lanes = text_array(["bench"]), integer_array([5]), integer_array([self._mark])
        began = time.monotonic()
        rows = jobs.claim_jobs(self._connection, self._worker, lanes, BATCH) or []
        self.slowest_claim = max(self.slowest_claim, time.monotonic() - began)
        self._mark = max(row[1] for row in rows)
        ids, fences = [row[0] for row in rows], [row[3] for row in rows]
        jobs.complete_succeeded(self._connection, self._worker, ids, fences, [0.1] * len(ids))
        return len(rows)


def purge_and_tell(dsn: str) -> dict[str, float]:
    """Purge all that ended an hour ago, and measure that; sizes in MiB."""
    with closing(connect(dsn)) as connection:
        backend = connection.info.backend_pid
        connection.execute("SELECT 1")
        Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts
        memory, backend_memory = memory_of("self", "VmRSS"), memory_of(backend, "RssAnon")
        began = last = time.monotonic()
        purged, steps, longest, backend_peak = 0, 0, 0.0, backend_memory
        for _, count in bulk.purge_jobs(connection, 3600.0, [State.SUCCEEDED]):
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            purged, steps = purged + count, steps + 1
            backend_peak = max(backend_peak, memory_of(backend, "RssAnon"))
        return {
            "purged": purged,
            "steps": steps,
            "seconds": time.monotonic() - began,
            "longest": longest,
            "grown": memory_of("self", "VmHWM") - memory,
            "backend_grown": backend_peak - backend_memory,
        }


def memory_of(pid: int | str, field: str) -> float:
    """What a field of a process's status says, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/{pid}/status has no {field}")


if __name__ == "__main__":
    print(json.dumps(purge_and_tell(sys.argv[1])))
