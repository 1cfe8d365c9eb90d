"""For the tests of those who use taskd.

collect()   jobs are kept in memory, to be looked at, or run when the test says so
inline()    each job runs at once, where it is enqueued
drain()     jobs of a real database are run in the test's own process

fixtures    pytest_plugins = ["taskd.testing.fixtures"]: taskd_jobs, taskd_inline, taskd_database
"""

from __future__ import annotations

from taskd.testing.drain import Drained, drain
from taskd.testing.memory import MemoryJobs, collect, inline
from taskd.testing.memory_job import MemoryJob

__all__ = ["Drained", "MemoryJob", "MemoryJobs", "collect", "drain", "inline"]
