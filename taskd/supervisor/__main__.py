"""`python -m taskd.supervisor --settings-fd N`: what `taskd` becomes once it has its settings.

A seed takes longest of all that a start waits for. What it does not take to spawn one is imported
after that, side by side with the seed's own imports.
"""

from __future__ import annotations

import resource
import signal
import sys

from taskd.config.handover import take_settings
from taskd.config.settings import Settings
from taskd.pool.signals import ORDERS
from taskd.supervisor.inheritance import Beginning, begin
from taskd.supervisor.pidfile import PidFile, PidFileTaken, PidFileUnusable
from taskd.supervisor.terminal import Terminal


def main() -> int:
    """Be the master; the exit status."""
    terminal = Terminal()  # before HUP is held back: it tells whether that is a hangup
    signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)  # until the loop can hear them
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback once it has ended
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as it may be, nobody hears of an end
    settings = read_settings(sys.argv[1:])
    pid_file = PidFile(settings.pid_file) if settings.pid_file is not None else None
    raise_descriptor_limit()
    try:
        if pid_file is not None:
            pid_file.take()
        return _be_master(settings, begin(settings), terminal)
    except PidFileUnusable as error:
        return _refuse(settings, error, 2)
    except (PidFileTaken, OSError) as error:
        return _refuse(settings, error, 1)
    finally:
        if pid_file is not None:
            pid_file.release()


def read_settings(arguments: list[str]) -> Settings:
    """The settings behind `--settings-fd N`."""
    flag, number = arguments
    if flag != "--settings-fd":
        raise SystemExit("usage: python -m taskd.supervisor --settings-fd N (start it as `taskd`)")
    return take_settings(int(number))


def raise_descriptor_limit() -> None:
    """Allow as many open files as we may; thousands of sockets are what greenlets are for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _be_master(settings: Settings, beginning: Beginning, terminal: Terminal) -> int:
    import setproctitle

    from taskd import logs
    from taskd.events import Events
    from taskd.supervisor.master import Master

    setproctitle.setproctitle("taskd: master")
    events = Events()
    writer = logs.install(events, settings.log, "master")
    return Master(settings, events, writer, beginning, terminal).run()


def _refuse(settings: Settings, error: Exception, status: int) -> int:
    from taskd import logs
    from taskd.events import Events
    from taskd.supervisor.events import Fatal

    events = Events()
    logs.install(events, settings.log, "master")
    events.emit(Fatal(str(error)))
    return status


if __name__ == "__main__":
    sys.exit(main())
