"""Where jobs run: seeds, forkservers and workers.

    seed ──► forkserver ──► worker: claim → run → report, until told to drain

A greenlet worker has a claimer, a fixed number of slots and a reporter, each a greenlet or more; a
process worker does the same three things one after the other.
"""
