"""The command `taskd`: one module a family of verbs, loaded when its verb is asked for.

    root                  `taskd` itself: the options for all verbs, and the table of verbs
    daemon, resolve       start the daemon; its settings once more, for a reload
    enqueue, run          one job, stored or run here
    jobs, queues, workers, tasks     look, cancel, requeue, pause
    schedules                        look, run, pause, preview
    stats                            what has ended and what waits, in figures
    top                              the same live, with workers and failures
    memory, leaks                    what processes have held, and which tasks leave some of it
    audit                            who has ordered what; noting: how a verb's order gets there
    dashboard                        serve metrics and the JSON API
    schema, check, config            set up and find faults
    doctor                           find what is wrong with what runs

Exit statuses: 0 fine, 1 the thing asked for failed, 2 wrong usage or configuration.
Importing this package loads nothing but itself.
"""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Do what the command line says, then exit; never returns."""
    from taskd.cli.root import taskd

    taskd.main(prog_name="taskd")
    raise AssertionError("click's main exits by itself")
