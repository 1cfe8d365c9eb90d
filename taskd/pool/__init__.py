"""Where jobs run: seeds, forkservers and workers.

seed ──► forkserver ──► worker: claim → run → report, until told to drain

seed          patches (greenlets), imports the runtime          seeding    its orders
forkserver    imports the users' code, forks workers            imports, preflight, spawn
worker        greenlet worker: many jobs at once                process    one job at a time
claimer       when to claim and how many                        claims, appetite
lanes         from which lanes                                  lane, order, shares
quarantine    when to run suspects, which run alone
slots         the greenlets that run jobs                       runner, limits, sweeper
reporter      when to store outcomes                            outbox, ending
journal       what jobs log, and how far they are               attempt_log, job_handler
scribe        stores it while a job of a process worker runs    offspring  greenlets of a job
pulse         says that the worker lives                        stacks     says where it stands
answers       to questions from afar                            standing, greenlet_stacks, heap
usage         what attempts use of processor and memory
place         where a worker stands, on the board               link       its connections
"""
