"""A canary: a worker like any other, which traces each of its allocations to see who leaks.

    greenlets switch ─► ledger: what the job that ran until now holds more or less than before
    a job begins     ─► survivors: it runs in a frame that tells its cohort
    a job ends       ─► ledger: so much does one of its task leave behind
    now and then     ─► garbage is collected: what that frees nobody has leaked
                     ─► survivors: what is alive of the jobs of long ago
                     ─► lines: where that was allocated
    every 5 s        ─► verdict, of both ─► taskd.canary   it has seen enough ─► it drains and ends

Python's allocations alone are traced (tracemalloc), so what native code leaks has no line and does
not count here; the fit over all workers sees it.
"""

from taskd.pool.canary.bird import Canary

__all__ = ["Canary"]
