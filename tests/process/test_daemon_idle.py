"""What a daemon costs the database while there is nothing to do."""

from __future__ import annotations

from tests.process.daemon import Project
from tests.waiting import eventually


def test_an_idle_daemon_holds_two_connections(project: Project) -> None:
    project.write("taskd.yaml", "imports: [shop]\npools: {io: {greenlets: 5}}\n")
    project.start()
    project.enqueue_many("shop.add", [(1, 2)] * 10)
    project.wait_for_states(succeeded=10)

    def connections() -> list[str]:
        found = project.query(
            "SELECT application_name FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database() AND application_name LIKE 'taskd %%' "
            "ORDER BY application_name"
        )
        return [name for (name,) in found if name != "taskd client"]

    eventually(lambda: connections() == ["taskd io/0", "taskd listen"])

    project.enqueue("shop.add", 1, 1)
    project.wait_for_states(succeeded=11)
