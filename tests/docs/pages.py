"""The examples of a how-to page: modules to import, and lines whose comments tell their values."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_MODULE = re.compile(r"# (\w+)\.py\n")
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its modules by name, and its other blocks."""

    modules: dict[str, str]
    blocks: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    """The words of each line of its shell blocks."""
    comments: tuple[str, ...]
    """What those lines tell, in the same order."""

    @classmethod
    def read(cls, name: str) -> Page:
        text = (HOW_TO / name).read_text(encoding="utf-8")
        blocks = _BLOCK.findall(text)
        modules = {found[1]: block for block in blocks if (found := _MODULE.match(block))}
        lines = "".join(_SHELL.findall(text)).splitlines()
        return cls(
            modules,
            tuple(block for block in blocks if not _MODULE.match(block)),
            tuple(tuple(shlex.split(line, comments=True)) for line in lines),
            tuple(line.partition("  # ")[2] for line in lines),
        )


def check_block(block: str, names: dict[str, Any]) -> int:
    """Run a block; a line `expression  # value` must give that value. How many did."""
    checked = 0
    lines = block.splitlines()
    for statement in ast.parse(block).body:
        source = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        _, _, value = lines[(statement.end_lineno or 1) - 1].partition("  # ")
        if isinstance(statement, ast.Expr) and value:
            assert repr(eval(source, names)) == value.strip(), source
            checked += 1
        else:
            exec(source, names)
    return checked
