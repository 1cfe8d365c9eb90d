"""`python -m taskd` is the command `taskd`."""

from taskd.cli import main
from taskd.cli.interpreter import look_elsewhere

if __name__ == "__main__":
    look_elsewhere()
    main()
