"""The dashboard as a child of a real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.process.daemon import CONFIG, Daemon, Project, is_alive
from tests.waiting import eventually

TOKEN = "a-token-of-forty-characters-0123456789ab"
READERS = "another-for-readers-0123456789abcdefghij"


def ask(url: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, headers), timeout=10) as answer:
        return json.loads(answer.read())


def urls(daemon: Daemon) -> list[str]:
    """Where its dashboards have listened, in their order."""
    return re.findall(r"answers who shows the token at (http://\S+:\d+)", daemon.log())


def answers(url: str) -> bool:
    try:
        return bool(ask(f"{url}/healthz"))
    except (URLError, ConnectionError):
        return False


def test_it_lives_as_long_as_its_daemon_whatever_happens_to_it(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    section = f"dashboard: {{listen: '127.0.0.1:0', token_file: {tmp_path / 'token'}}}\n"
    project.write("taskd.yaml", CONFIG + section)
    daemon = project.start()
    (url,) = eventually(lambda: urls(daemon))

    # It gives orders, and what is ordered is done.
    assert ask(f"{url}/api/v1/queues/default/pause", {}) == {"changed": True}
    shown = project.taskd("enqueue", "shop.add", "[1, 2]", "--delay", "1h", "--json")
    job = json.loads(shown.stdout)["id"]  # workers hear of a pause a moment later
    assert ask(f"{url}/api/v1/jobs/cancel", {"ids": [job]})["done"] == 1
    ask(f"{url}/api/v1/queues/default/resume", {})
    (first,) = daemon.pids("dashboard")

    # A kill costs it a moment, a signal to the whole group not even that.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(first, number)
    assert ask(f"{url}/api/v1/workers")[0]["processes"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(urls(daemon)) == 2)
    assert "dashboard: pid" in daemon.wait_for_log("killed by SIGKILL; it is started again")
    assert eventually(lambda: answers(urls(daemon)[-1]))
    (second,) = eventually(lambda: daemon.pids("dashboard"))
    assert second != first

    # A reload lets another take its place, which is no death.
    (tmp_path / "readers").write_text(READERS)
    section = section.replace("}", f", reader_token_file: {tmp_path / 'readers'}}}")
    project.write("taskd.yaml", CONFIG + section)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: len(urls(daemon)) == 3)
    last = urls(daemon)[-1]
    assert eventually(lambda: answers(last))
    assert not is_alive(second)
    assert daemon.log().count("it is started again") == 1

    # It ends with the daemon, and holds up nothing.
    with urlopen(
        Request(f"{last}/api/v1/live", headers={"Authorization": f"Bearer {TOKEN}"}), timeout=10
    ) as stream:
        assert stream.readline()
        assert daemon.stop() == 0
    assert not answers(last)
    assert TOKEN not in daemon.log()


def test_it_dies_with_a_master_that_is_killed(project: Project) -> None:
    project.write("taskd.yaml", CONFIG + "dashboard: {listen: '127.0.0.1:0'}\n")
    daemon = project.start()
    (pid,) = eventually(lambda: daemon.pids("dashboard"))

    daemon.signal(signal.SIGKILL)
    daemon.wait()

    eventually(lambda: not is_alive(pid))


def test_what_a_dashboard_lacks_is_told_before_the_daemon_starts(project: Project) -> None:
    project.write("taskd.yaml", CONFIG + "dashboard: {listen: '0.0.0.0:0'}\n")

    daemon = project.start(ready=False)

    assert daemon.wait() == 1
    assert "dashboard: 0.0.0.0 can be reached from other machines, so a token is needed: " in (
        daemon.log()
    )


def test_why_a_worker_was_replaced_is_told_with_its_memory(project: Project) -> None:
    workers = "processes: 1\n    memory: {max_jobs: 1, min_lifetime: 0s}"
    section = "dashboard: {listen: '127.0.0.1:0'}\n"
    project.write("taskd.yaml", CONFIG.replace("processes: 2", workers) + section)
    daemon = project.start()
    url = eventually(
        lambda: re.search(r"answers programs on this machine at (\S+:\d+)", daemon.log())
    )[1]
    project.enqueue("shop.add", 1, 2)

    def told() -> list[dict[str, Any]]:  # a worker notes its end itself, its master then says why
        return [end for end in ask(f"{url}/api/v1/memory?last=1h")["ends"] if end["reason"]]

    (end, *_) = eventually(told)
    assert (end["pool"], end["reason"]) == ("io", "it has done 1 job")


FAR = """
import time
from pathlib import Path

from taskd import task


@task(queue="far")
def stand(path):
    Path(path).touch()
    time.sleep(600)
"""


def test_a_page_of_one_host_shows_where_a_job_of_another_stands(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    section = f"dashboard: {{listen: '127.0.0.1:0', token_file: {tmp_path / 'token'}}}\n"
    pool = "{{queues: [{}], greenlets: 5, shutdown_timeout: 500ms, kill_grace: 500ms}}"
    for name, queue, extra in (("near", "near", section), ("far", "far", "")):
        pools = f"imports: [shop]\npools:\n  {name}: {pool.format(queue)}\n"
        project.write(f"{name}.yaml", pools + extra)
    project.write("shop.py", FAR)
    near = project.start("--config", "near.yaml")
    project.start("--config", "far.yaml", "--state-dir", str(tmp_path / "elsewhere"))
    (url,) = eventually(lambda: urls(near))
    (job,) = project.enqueue_many("shop.stand", [(str(tmp_path / "begun"),)], "far")
    eventually((tmp_path / "begun").exists)

    told = ask(f"{url}/api/v1/jobs/{job}/stacks")

    assert len(project.query("SELECT FROM taskd.host WHERE ended_at IS NULL")) == 2
    assert (told["state"], told["worker"]["pool"], told["worker"]["note"]) == ("running", "far", "")
    (stack,) = [stack for stack in told["worker"]["stacks"] if stack["job"] == job]
    assert "time.sleep(600)" in [frame["code"] for frame in stack["frames"]]
