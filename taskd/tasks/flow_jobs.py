"""The handle on the jobs of a flow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from taskd.clock import monotonic
from taskd.store.rows import State
from taskd.tasks.client import default_client
from taskd.tasks.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowJobs:
    """The jobs of a flow: all of them, parents first, and those at its ends."""

    jobs: tuple[Job[Any], ...]
    ends: tuple[Job[Any], ...]

    @property
    def id(self) -> int:
        """The number of the whole: `taskd jobs list --group ID` lists its jobs."""
        return self.jobs[0].id

    @property
    def last(self) -> Job[Any]:
        """The job at the end of a chain or chord; of a group, the last of its ends."""
        return self.ends[-1]

    def states(self) -> dict[State, int]:
        """How many of the jobs are in each state; one round trip."""
        rows = default_client().fetch_many([job.id for job in self.jobs])
        return dict(Counter(row.state for row in rows))

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job at the end of a chain or chord; see `Job.result`."""
        return self.last.result(timeout)

    def results(self, timeout: float | None = None) -> list[Any]:
        """Wait for all jobs at the ends, at most `timeout` seconds together; their results.

        Raises as `Job.result` does, for the first that has none.
        """
        if timeout is None:
            return [job.result() for job in self.ends]
        deadline = monotonic() + timeout
        return [job.result(max(0.0, deadline - monotonic())) for job in self.ends]

    def cancel(self) -> dict[Job[Any], str]:
        """Cancel all jobs that have not ended; what became of each, as `Job.cancel` tells it."""
        outcomes = default_client().cancel([job.id for job in self.jobs])
        return {job: outcomes[job.id] for job in self.jobs}
