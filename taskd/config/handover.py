"""Settings on their way to another process: in memory, behind a descriptor.

A message of a control socket has room for some hundred kilobytes, a configuration may be larger,
and it may hold a password, which neither argv nor a file is to show.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from taskd.config.settings import Settings


@contextmanager
def settings_in_memory(settings: Settings) -> Iterator[int]:
    """A descriptor of the settings, to be sent to who is to read them; closed at the end."""
    fd = os.memfd_create("taskd-settings")
    try:
        os.write(fd, settings.to_json().encode())
        yield fd
    finally:
        os.close(fd)


def take_settings(fd: int) -> Settings:
    """The settings behind a descriptor, which is closed, wherever its other readers are in it."""
    try:
        return Settings.from_json(os.pread(fd, os.fstat(fd).st_size, 0).decode())
    finally:
        os.close(fd)
