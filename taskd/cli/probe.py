"""`python -m taskd.cli.probe`: import modules as a daemon would, and say what came of it.

A process of its own, because an import may do anything: start threads, exit, crash, take for ever.
The answer is JSON on the descriptor `--answer-fd`; what the modules print goes where it goes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from taskd.cli.interpreter import look_elsewhere

if TYPE_CHECKING:
    from argparse import Namespace


def main(arguments: list[str]) -> None:
    """Patch if asked, import, look around, answer."""
    look_elsewhere()
    asked = _parse(arguments)
    if asked.greenlets:
        from gevent import monkey

        monkey.patch_all()
    import json

    answer = probe(asked.modules, asked.middleware)
    with open(asked.answer_fd, "w", encoding="utf-8") as out:
        json.dump(answer, out)


def probe(modules: list[str], middleware: list[str]) -> dict[str, Any]:
    """Import the modules into this process; the tasks and what was left open, or the error."""
    from taskd.pool.imports import ImportFailed, find_here_first, import_code
    from taskd.pool.preflight import find_leftovers, open_sockets
    from taskd.tasks.publish import describe_tasks

    own_sockets = open_sockets()
    find_here_first()
    try:
        import_code(modules, middleware)
    except ImportFailed as error:
        return {"error": str(error)}
    leftovers = find_leftovers(own_sockets)
    return {
        "threads": leftovers.threads,
        "sockets": leftovers.sockets,
        "tasks": describe_tasks(modules),
    }


def _parse(arguments: list[str]) -> Namespace:
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="python -m taskd.cli.probe")
    parser.add_argument("--greenlets", action="store_true")
    parser.add_argument("--answer-fd", type=int, required=True)
    parser.add_argument("--middleware", action="append", default=[])
    parser.add_argument("modules", nargs="*")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
