"""What there is to say at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from examples.mirror.listing import normalized
from examples.mirror.mirror import Mirror


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run went: what is there and whole, what is missing, and how the daemon ended.

    `was_told`: to stop, by SIGTERM.
    """

    mirror: Mirror
    project: str | None
    files: int
    size: int
    missing: int
    seconds: float
    status: int
    was_told: bool = False

    @property
    def exit_status(self) -> int:
        """0 if everything is there, or the daemon was told to stop and did so in good order."""
        has_stopped = self.was_told and self.status == 0
        return 0 if has_stopped or (not self.missing and self.status in (0, 1)) else 1

    def lines(self) -> Iterator[str]:
        """The figures, and what to do next."""
        has_failed = self.status > 0  # a daemon that was stopped ends with 0, a killed one below
        yield (
            f"{self.files} files, {self.size:,} bytes, {self.seconds:.1f} seconds, "
            f"{self.missing if has_failed else 0} failures; the mirror is in {self.mirror.root}"
        )
        if has_failed and not self.missing:
            yield (
                "all is there, but jobs that another run had left failed: "
                "see `taskd jobs list --state failed`"
            )
        elif has_failed:
            yield (
                "jobs have failed: see `taskd jobs list --state failed`; "
                "run the same command again to try once more"
            )
        elif self.missing:
            yield (
                f"stopped before its end: {self.missing} are still to come; "
                "run the same command again to go on"
            )
        if self.project and not self.missing:
            url = (self.mirror.root / "simple").as_uri()
            yield f"try: pip install --no-deps --index-url {url} {self.project}"


def summarize(
    mirror: Mirror, projects: list[str], seconds: float, status: int, *, was_told: bool = False
) -> Summary:
    """Verify every file that was listed; a project that was not listed counts as one missing."""
    wanted = mirror.wanted()
    unlisted = [project for project in projects if normalized(project) not in wanted]
    files = [(project, *file) for project in wanted for file in wanted[project].items()]
    whole = [
        (project, name) for project, name, sha in files if mirror.is_complete(project, name, sha)
    ]
    return Summary(
        mirror=mirror,
        project=whole[0][0] if whole else None,
        files=len(whole),
        size=sum(mirror.package(project, name).stat().st_size for project, name in whole),
        missing=len(files) - len(whole) + len(unlisted),
        seconds=seconds,
        status=status,
        was_told=was_told,
    )
