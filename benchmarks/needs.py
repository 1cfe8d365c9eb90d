"""Jobs that need resources, as the benchmarks enqueue them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import tasks
from taskd import exclusive, shared
from taskd.store import mail
from taskd.store.connect import Connection
from taskd.store.graph import enqueue_graph
from taskd.store.rows import NewGraph, NewJob
from taskd.tasks.resources import Resource

A_CALL = 1000
"""Jobs that are enqueued in one call before something is measured."""


@dataclass(frozen=True, slots=True)
class Needy:
    """One call of a task of benchmarks.tasks, and the resources that it needs."""

    task: str
    argument: float
    exclusive: Sequence[str] = ()
    shared: Sequence[str] = ()

    @property
    def resources(self) -> list[Resource]:
        return [*map(exclusive, self.exclusive), *map(shared, self.shared)]

    def as_new_job(self) -> NewJob:
        """As the store takes it."""
        return NewJob(
            task=f"benchmarks.tasks.{self.task}",
            args=json.dumps([self.argument]),
            queue="bench",
            res=tuple(one.key for one in self.resources),
            need=tuple(one.units for one in self.resources),
        )


def enqueue_one(job: Needy) -> None:
    """Enqueue one job as a user does it, into the database that was configured."""
    getattr(tasks, job.task).options(resources=job.resources).enqueue(job.argument)


def enqueue_all(connection: Connection, jobs: Sequence[Needy]) -> None:
    """Enqueue many before something is measured, and let all of them join their lines."""
    new = [job.as_new_job() for job in jobs]
    for start in range(0, len(new), A_CALL):
        enqueue_graph(connection, NewGraph(tuple(new[start : start + A_CALL])))
    while mail.dispatch(connection) != 0:
        pass


def line_up(connection: Connection, jobs: Sequence[Needy]) -> None:
    """The same, and settle the tables."""
    enqueue_all(connection, jobs)
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
