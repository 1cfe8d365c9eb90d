"""The master: it keeps a tree of processes as its settings want it, and does nothing else.

    turn:  read signals → reap → read messages → look at the board → decide → act

`plan.decide` is pure: what is wanted, what is there and the time go in, actions come out. The
master holds no database connection, no thread, none of the users' code, so that nothing of theirs
can stop it.
"""
