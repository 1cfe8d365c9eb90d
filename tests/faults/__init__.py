"""Kill anything, cut anything, lose nothing: real faults on real daemons and a real PostgreSQL.

    work             the tasks that run meanwhile; each execution leaves a row (id, attempt, fence)
    bad_jobs         tasks that do to their worker what no task should
    ledger           enqueues them, and judges: what is lost, doubled, stale, held or late
    plan             which fault strikes when, from a seed
    host             one daemon with its supervisor, its tree, and its end
    stand            several hosts on one database under load
    process_faults   killed, crashed and stopped processes, lost hosts
    postgres         a server that can be stopped, killed and promoted
    postgres_faults  what happens to it
    proxy, netns     networks that can be cut, silenced and slowed
    statements       what clients have sent, and what of it pins a pooler
    visits           each verb of the command line and each page of the dashboard
    clocks           clocks that are wrong
    report           one table: fault, promise, measured
    sizes            the short form, and the long one, each size by environment

The short form runs in CI beside the suite, whose load would move its figures; `make faults` runs
the long form and prints the table.
"""
