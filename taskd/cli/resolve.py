"""`python -m taskd.cli.resolve FLAGS`: a daemon's settings as JSON, resolved anew for its reload.

The master runs it on SIGHUP, as a child, because the master itself knows no YAML. What it does
stands in `taskd.cli.resolving`.
"""

from __future__ import annotations

from taskd.cli.interpreter import look_elsewhere


def main() -> None:
    """Resolve and print; never returns."""
    look_elsewhere()
    from taskd.cli.resolving import resolve

    resolve()


if __name__ == "__main__":
    main()
