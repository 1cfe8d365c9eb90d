"""The one process of a host that does the housekeeping in the database.

    process     its main loop: messages of the master, kicks of idle workers, a tick a second
    database    opens the database at the start: embedded server, back-off, schema, host row
    lease       beats, notices dead hosts and its own death            a thread
    listen      hears notifications, and notices when it cannot        a thread and connection,
                                                                       lent to the lease
    agenda      what makes each of the chores due
    chores      short statements, whenever one is due:                 a thread and connection
                look (jobs that nobody was told of), promote (what is due),
                dispatch (dependencies and resources),
                requests (cancel, report), burst (is all done?), publish (tasks),
                declare (what this host wants scheduled), cron (slots that have come),
                limits (how much may run at once, as the file of this host says)
                tally (what has ended and what waits becomes statistics),
                stalls (says where nothing begins though it could)
    rescue      gives back what the dead held                          a thread and connection
    prune       partitions made ahead and dropped, old rows deleted    a thread and connection
    wakeup      news of jobs becomes lanes, floors and wakeups on the board
    worker_slots  what the workers say on the board

Each may wait for the database, and for a lock in it, without the others noticing; above all
the lease. Everything is plain threads, so it runs as it is in a patched process, too.
"""
