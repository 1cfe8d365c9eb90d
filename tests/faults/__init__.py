"""Kill anything, cut anything, lose nothing: real faults on real daemons and a real PostgreSQL.

    work       the tasks that run meanwhile; each execution leaves a row (id, attempt, fence)
    ledger     enqueues them, and judges afterwards: what is lost, doubled, stale, held or late
    plan       which fault strikes whom and when, from a seed
    host       one daemon with its supervisor, its tree, and its end
    stand      several hosts on one database under load
    postgres   a server that can be stopped, killed, cut short and filled up
    proxy      a network between the two that can be cut, silenced and slowed
    report     one table: fault, promise, measured

The short form runs with the suite, a few tests of which each takes some seconds; `make faults`
runs the long form (`python -m tests.faults`), sizes by environment, and prints the table.
"""
