"""Run a shop in which one task leaks, and see taskd find it.

    python -m examples.leaky

Starts a daemon and gives it jobs until you press Ctrl-C or `--minutes` are over. Then the daemon
runs what is left, and the last lines say what has become of all jobs, and who leaks.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from examples.leaky import tasks
from taskd import Job, Task, configure, enqueue_many

HERE = Path(__file__).parent
QUEUE = "leaky"
MIX: dict[Task[[int], None], int] = {
    tasks.send_receipt: 35,
    tasks.refresh_price: 25,
    tasks.sync_catalog: 25,
    tasks.resize_image: 15,
}
BATCH = 400
LOOK_SECONDS = 0.5


def main() -> int:
    """Run the shop; 0 if every job has succeeded."""
    options = parse()
    point_at_database(options)
    shop = Shop()
    last = shop.enqueue()
    daemon = start_daemon()
    signal.signal(signal.SIGINT, lambda *_: shop.close())
    until = time.monotonic() + 60 * options.minutes
    while shop.is_open and time.monotonic() < until and daemon.poll() is None:
        if last.state not in ("scheduled", "queued"):
            last = shop.enqueue()
        time.sleep(LOOK_SECONDS)
    status = daemon.wait()
    show("stats", "--by", "task", "--queue", QUEUE, "--last", "1h")
    show("leaks")
    outcome = "every one has succeeded" if status == 0 else "not all have succeeded"
    print(f"{shop.enqueued:,} jobs were enqueued: {outcome}")
    return status


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.leaky",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long at most (10)")
    parser.add_argument("--database", help="a PostgreSQL; the embedded one if left out")
    return parser.parse_args()


class Shop:
    """Where the jobs come from."""

    def __init__(self) -> None:
        self.is_open = True
        self.enqueued = 0

    def enqueue(self) -> Job[None]:
        """Enqueue a batch of jobs, all tasks mixed; the first of them."""
        chosen = random.choices(list(MIX), list(MIX.values()), k=BATCH)
        jobs = [
            job
            for task in MIX
            for job in enqueue_many(
                task,
                [(random.randrange(1_000_000),) for _ in range(chosen.count(task))],
                queue=QUEUE,
            )
        ]
        self.enqueued += len(jobs)
        return jobs[0]

    def close(self) -> None:
        """Enqueue no more."""
        self.is_open = False


def point_at_database(options: argparse.Namespace) -> None:
    """Let this program and the daemon use the same database."""
    if options.database:
        os.environ["TASKD_DATABASE"] = options.database
        configure(database=options.database)
        subprocess.run([sys.executable, "-m", "taskd", "schema", "install"], check=True)


def start_daemon() -> subprocess.Popen[bytes]:
    """A daemon that ends when the queue is empty; Ctrl-C is for the shop, and not for it."""
    command = [sys.executable, "-m", "taskd", "--config", str(HERE / "taskd.yaml"), "--burst"]
    return subprocess.Popen(command, process_group=0)


def show(*command: str) -> None:
    """Show what a command of taskd says."""
    subprocess.run([sys.executable, "-m", "taskd", *command], check=True)


if __name__ == "__main__":
    sys.exit(main())
