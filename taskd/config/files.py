"""Finding and reading the configuration file."""

import os
from collections.abc import Mapping

from taskd.config.paths import working_directory
from taskd.errors import ConfigurationInvalid, Fault

DEFAULT_FILE = "taskd.yaml"
MAX_BYTES = 1024 * 1024


def find_file(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str | None:
    """Return the file to read: the one given, else TASKD_CONFIG, else ./taskd.yaml if there is one.

    Raises ConfigurationInvalid if TASKD_CONFIG is set but empty.
    """
    if path is not None:
        return os.fspath(path)
    named = environ.get("TASKD_CONFIG")
    if named is None:
        return DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None
    if not named:
        message = "is set but empty: name a file, or take it away"
        raise ConfigurationInvalid((Fault("TASKD_CONFIG", None, "", message),))
    return named


def full_name(path: str) -> str:
    """Return the file's absolute path."""
    return os.path.normpath(os.path.join(working_directory(), path))


def shown_name(path: str) -> str:
    """Write a file's name for errors: as short as it goes from here, in printable characters."""
    here = os.path.relpath(path, working_directory()) if os.path.isabs(path) else path
    name = path if here.startswith("..") else here
    return name if name and name.isprintable() else repr(name)


def read_text(path: str) -> str:
    """Read the text of a file; blocks on a pipe until its writer closes it.

    Raises ConfigurationInvalid if it is missing, no file, too large, or not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, None, "there is no such file") from None
    except IsADirectoryError:
        raise _unreadable(path, None, "is a directory: name the file inside it") from None
    # A NUL in the name is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, None, f"cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise _unreadable(path, None, "is larger than 1 MiB: this is no configuration")
    return _decode(content, path)


def _decode(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error's own bytes: they begin behind the byte order mark, as its counting does.
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise _unreadable(path, line, f"{found}: save the file as UTF-8") from None


def _unreadable(path: str, line: int | None, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid((Fault(shown_name(path), line, "", message),))
