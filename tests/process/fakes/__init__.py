"""Stand-ins for all that the master starts: real processes and signals, but no database, no jobs.

master ──► seed ──► maintenance          each does as the file of its name in $FAKES says,
               └──► forkserver ──► worker     and writes what it does and hears into a journal
"""
