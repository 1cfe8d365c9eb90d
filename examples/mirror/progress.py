"""How far the mirror is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from examples.mirror.mirror import Mirror

BAR = 30
LINE_SECONDS = 3.0


class Progress:
    """Shows how many of the listed files are on disk; `show` as often as you like."""

    def __init__(self, root: Path, projects: int) -> None:
        self._mirror = Mirror(root)
        self._projects = projects
        self.is_terminal = sys.stderr.isatty()
        self._line_at = 0.0

    def show(self) -> None:
        """Draw the bar, or write a line if it is time for one."""
        now = time.monotonic()
        if not self.is_terminal and now < self._line_at:
            return
        self._line_at = now + LINE_SECONDS
        text = self._text()
        if self.is_terminal:
            sys.stderr.write(f"\r\x1b[K{text}\r")  # a line of the log goes over the bar
        else:
            sys.stderr.write(f"mirror: {text}\n")
        sys.stderr.flush()

    def _text(self) -> str:
        wanted = self._mirror.wanted()
        paths = [self._mirror.package(p, name) for p, files in wanted.items() for name in files]
        sizes = [path.stat().st_size for path in paths if path.exists()]
        share = len(sizes) / len(paths) if paths else 0.0
        bar = "#" * int(share * BAR)
        listed = f"{len(wanted)}/{self._projects} projects listed"
        files = f"{len(sizes)}/{len(paths)} files, {sum(sizes) / 1e6:.1f} MB"
        return f"[{bar:.<{BAR}}] {files}, {listed}"

    def close(self) -> None:
        """Leave the bar's line."""
        if self.is_terminal:
            sys.stderr.write("\n")
