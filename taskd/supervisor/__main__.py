"""`python -m taskd.supervisor --settings-fd N`: what `taskd` becomes once it has its settings."""

from __future__ import annotations

import resource
import signal
import sys

import setproctitle

from taskd import logs
from taskd.config.handover import take_settings
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.supervisor.events import Fatal
from taskd.supervisor.master import Master
from taskd.supervisor.pidfile import PidFile, PidFileTaken, PidFileUnusable


def main() -> int:
    """Be the master; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback before the loop takes over
    settings = read_settings(sys.argv[1:])
    setproctitle.setproctitle("taskd: master")
    events = Events()
    writer = logs.install(events, settings.log, "master")
    pid_file = PidFile(settings.pid_file) if settings.pid_file is not None else None
    raise_descriptor_limit()
    try:
        if pid_file is not None:
            pid_file.take()
        return Master(settings, events, writer).run()
    except PidFileUnusable as error:
        events.emit(Fatal(str(error)))
        return 2
    except (PidFileTaken, OSError) as error:
        events.emit(Fatal(str(error)))
        return 1
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


if __name__ == "__main__":
    sys.exit(main())
