"""The database is restarted, killed, locked, full or contradictory; the ledger judges."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from taskd.store import connect
from tests.faults import postgres_faults as faults
from tests.faults import sizes, work
from tests.faults.ledger import QUICK
from tests.faults.plan import make_plan
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.servers import Account, fast_disk
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

OpenHosts = Callable[..., Stand]


def trees(stand: Stand) -> list[dict[str, set[int]]]:
    return [host.tree() for host in stand.hosts]


def test_whatever_happens_to_the_server_no_process_exits_and_nothing_is_lost(
    postgres: Postgres, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=5.0)
    known = faults.postgres_faults(postgres, seconds=1.5)
    plan = make_plan(list(known), count=sizes.ROUNDS * len(known), seconds=12.0, seed=seed)
    before = trees(stand)

    with stand.load(jobs_a_second=80, seconds=0.3, kinds=QUICK):
        for strike in plan:  # one after the other: a stopped server cannot be made read-only
            known[strike.fault](stand, random.Random(strike.seed))
            time.sleep(0.5)
        eventually(lambda: stand.ledger.query("SELECT 1"), 60)
    verdict = stand.settle(120)

    counts = Counter(one.fault for one in stand.struck)
    report.add_verdict(f"server struck: {dict(counts)}", verdict, rescues=0)
    assert set(counts) == set(known)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert verdict.unexplained == 0, stand.ledger.unexplained()
    assert trees(stand) == before, stand.logs()


def all_met(raised: dict[str, int]) -> bool:
    """Whether errors were raised wherever jobs begin and end, and many in all."""
    written = ("host", "running", "queued", "history")
    return all(raised[table] for table in written) and sum(raised.values()) > 20


def test_locks_long_transactions_and_injected_conflicts_delay_and_lose_nothing(
    postgres: Postgres, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=5.0)
    before = trees(stand)

    with faults.long_transaction(postgres), stand.load(80, seconds=0.2, kinds=QUICK):
        with faults.injected_errors(postgres) as raised:
            eventually(lambda: all_met(raised()), 60)
            conflicts = raised()
        faults.lock_all_tables(
            stand, random.Random(seed), server=postgres, seconds=sizes.LOCK_SECONDS
        )
    verdict = stand.settle(120)

    locked = [one.fault for one in stand.struck]
    report.add_verdict(f"locks {locked}, conflicts {conflicts}", verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert verdict.unexplained == 0, stand.ledger.unexplained()
    assert trees(stand) == before, stand.logs()
    assert len(locked) > 15


def test_jobs_in_flight_finish_and_are_recorded_after_an_outage_longer_than_the_lease(
    postgres: Postgres, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=sizes.LEASE)
    before = trees(stand)
    chance = random.Random(seed)
    stand.ledger.enqueue(30, work.note, chance, seconds=3.0)
    eventually(lambda: stand.ledger.query("SELECT count(*) FROM ledger.effect") == [(30,)])

    faults.outage(stand, chance, server=postgres, seconds=sizes.OUTAGE_SECONDS)

    verdict = stand.settle()
    report.add_verdict("outage over the lease", verdict, rescues=0)
    assert (verdict.faults, verdict.executions) == ({}, 30), stand.logs()
    assert trees(stand) == before, stand.logs()


def test_the_rate_is_back_soon_after_a_restart(
    postgres: Postgres, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=5.0)

    with stand.load(jobs_a_second=60, seconds=0.02, kinds=[work.note]):
        time.sleep(5.0)
        postgres.restart()
        back_at = time.time()
        time.sleep(8.0)
    stand.settle()

    usual = stand.ledger.rate(back_at - 4.5, 3.5)
    after = [stand.ledger.rate(back_at + second, 3.0) for second in range(5)]
    in_time = next((second for second, rate in enumerate(after) if rate >= 0.95 * usual), None)
    what = f"in {in_time} s of {usual:.0f}/s"
    report.add("restarted", "95 % of the rate in 15 s", what, in_time is not None)
    assert usual > 30
    assert in_time is not None, (usual, after)


def test_a_dump_over_a_change_of_day_keeps_nobody_from_ending_jobs(
    postgres: Postgres, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=5.0)
    chance = random.Random(seed)
    stand.ledger.enqueue(500, work.note, chance, seconds=0.0)
    stand.settle()
    expire_a_day(postgres)

    with faults.open_dump(postgres):
        eventually(lambda: postgres.query(DUMPS) == [(1,)])
        with connect.connect(postgres.dsn) as connection:
            connection.execute("SELECT taskd.make_partitions_v1(9)")  # as at a change of day
        ends = []
        for _ in range(5):
            begun = time.monotonic()
            stand.ledger.enqueue(10, work.note, chance, seconds=0.0)
            stand.wait_until_quiet(20)
            ends.append(time.monotonic() - begun)
        with stand.load(40, kinds=[work.note]):
            restart_maintenance(stand)  # its first round makes and drops partitions
            time.sleep(2.0)
        stand.wait_until_quiet(20)
    verdict = stand.settle()

    report.add_times("pg_dump, change of day", "ends wait for nobody", ends, 2.0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert max(ends) < 10
    eventually(lambda: postgres.query(OLD_PARTITIONS) == [(0,)], 90)


DUMPS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
OLD_PARTITIONS = "SELECT count(*) FROM pg_class WHERE relname = 'history_20200101'"


def expire_a_day(postgres: Postgres) -> None:
    """Give the history a day that retention will drop."""
    postgres.execute(
        "CREATE TABLE taskd.history_20200101 PARTITION OF taskd.history "
        "FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')"
    )


def restart_maintenance(stand: Stand) -> None:
    for host in stand.hosts:
        (old,) = host.pids("maintenance")
        os.kill(old, 9)
        eventually(lambda host=host, old=old: host.pids("maintenance") not in ([], [old]))


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of this size. Skips the test where none can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="taskd-faults-disk-", dir=fast_disk()))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"needs to mount a small file system, as root may: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_full_disk_delays_and_loses_nothing(
    open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    with small_disk(220) as disk:
        data = disk / "data"
        data.mkdir(mode=0o700)
        Account.unprivileged().own(data)
        small = {"min_wal_size": "32MB", "max_wal_size": "32MB", "shared_buffers": "16MB"}
        with running_postgres(data, **small) as postgres:
            postgres.install_schema()
            stand = open_hosts(postgres.dsn, lease=3.0)
            ballast = disk / "ballast"

            with stand.load(60, seconds=0.05, kinds=QUICK):
                time.sleep(1.0)
                fill(disk, ballast)
                time.sleep(4.0)
                refused = stand.refused_enqueues
                ballast.unlink()
                start_again_if_it_ended(postgres)
                time.sleep(1.0)
            verdict = stand.settle(60)

            what = f"{refused} enqueues refused; {verdict}"
            report.add("disk full", "nothing lost", what, not verdict.faults)
            assert refused > 0
            assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()


def fill(disk: Path, ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free:
            file.write(bytes(2**16))


def start_again_if_it_ended(postgres: Postgres) -> None:
    """A server that cannot write its log ahead ends, and its service manager starts it again."""
    time.sleep(0.5)
    try:
        postgres.query("SELECT 1")
    except psycopg.OperationalError:
        postgres.close()
        postgres.start()
