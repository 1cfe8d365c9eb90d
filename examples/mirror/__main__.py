"""Mirror a package index into a folder with taskd.

    python -m examples.mirror --wheels wheels --to mirror
    python -m examples.mirror --index-url https://index.example/simple --project flask --to mirror

Enqueues one job a project, starts a daemon that ends when all is done, and shows the progress.
Run it again after anything: it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from examples.mirror.mirror import Mirror
from examples.mirror.origin import Origin
from examples.mirror.progress import Progress
from examples.mirror.summary import summarize
from examples.mirror.tasks import sync_project
from taskd import configure, enqueue_many

HERE = Path(__file__).parent


def main() -> int:
    """Run one mirroring from start to summary; the exit status."""
    options = parse()
    root = options.to.absolute()
    root.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ExitStack() as open_things:
        index_url, projects = choose_source(options, root, open_things)
        point_at_database(options)
        Mirror(root).forget_wanted()
        enqueue_many(sync_project, [(index_url, project, str(root)) for project in projects])
        status, was_told = run_daemon(options, Progress(root, len(projects)))
    seconds = time.monotonic() - began
    summary = summarize(Mirror(root), projects, seconds, status, was_told=was_told)
    for line in summary.lines():
        print(line)
    return summary.exit_status


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.mirror",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="DIR", help="the folder of the mirror")
    add("--wheels", type=Path, metavar="DIR", help="serve these wheels on loopback, mirror them")
    add("--latency", type=float, default=0.05, help="seconds each request to them waits (0.05)")
    add("--index-url", help="or mirror this index, such as https://index.example/simple")
    add("--project", action="append", default=[], help="what to mirror of it; may be repeated")
    add("--processes", default="4", help="worker processes for listings and downloads (4)")
    add("--greenlets", default="25", help="jobs at once in each of them (25)")
    add("--database", help="a PostgreSQL; the embedded one if left out")
    add("--state-dir", help="where the embedded PostgreSQL lives")
    options = parser.parse_args()
    if bool(options.wheels) == bool(options.index_url):
        parser.error("say --wheels DIR, or --index-url URL with --project NAME")
    if options.index_url and not options.project:
        parser.error("--index-url needs at least one --project")
    if options.wheels and not any(options.wheels.glob("*.whl")):
        parser.error(f"no wheels in {options.wheels}: fill it with `pip download --dest`")
    return options


def choose_source(
    options: argparse.Namespace, root: Path, open_things: ExitStack
) -> tuple[str, list[str]]:
    """The index to mirror, and which projects of it.

    The origin keeps its port from run to run: jobs of an interrupted run still find it.
    """
    if options.index_url:
        return options.index_url, options.project
    note = root / "origin-port"
    origin = Origin(options.wheels, options.latency, int(note.read_text()) if note.exists() else 0)
    open_things.callback(origin.close)
    note.write_text(str(origin.port))
    return origin.index_url, options.project or origin.projects()


def point_at_database(options: argparse.Namespace) -> None:
    """Let this program and the daemon use the same database."""
    if options.state_dir:
        os.environ["TASKD_STATE_DIR"] = str(Path(options.state_dir).absolute())
    if options.database:
        os.environ["TASKD_DATABASE"] = options.database
        configure(database=options.database)
        subprocess.run([sys.executable, "-m", "taskd", "schema", "install"], check=True)


def run_daemon(options: argparse.Namespace, progress: Progress) -> tuple[int, bool]:
    """Run the daemon until the queues are empty; its exit status, and whether SIGTERM came."""
    environment = {
        **os.environ,
        "MIRROR_PROCESSES": options.processes,
        "MIRROR_GREENLETS": options.greenlets,
    }
    command = [sys.executable, "-m", "taskd", "--config", str(HERE / "taskd.yaml"), "--burst"]
    if progress.is_terminal:
        command += ["--log-level", "warning"]  # the bar has the terminal for itself
    daemon = subprocess.Popen(command, env=environment)
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        told.append(number)
        daemon.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the daemon by itself
    while True:
        try:
            status = daemon.wait(0.25)
        except subprocess.TimeoutExpired:
            progress.show()
        else:
            progress.show()
            progress.close()
            return status, bool(told)


if __name__ == "__main__":
    sys.exit(main())
