"""Where the settings of a daemon came from."""

from dataclasses import dataclass, field

from taskd.config.paths import working_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the settings came from, so that a reload can resolve them again.

    The flags may hold a connection string: hand them on by a descriptor, not by argv.
    """

    config: str | None = None
    """Absolute path of the file, or None if there was none."""
    flags: tuple[str, ...] = field(default=(), repr=False)
    """The flags that overrode the file, as a command line has them: `--processes=4`."""
    directory: str = field(default_factory=working_directory)
    """The working directory that relative paths in the flags and the environment start from."""
