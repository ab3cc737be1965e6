"""The console script `callviz`, which is also `python -m callviz_dagster`."""

import sys

from callviz_dagster.cli.main import main


def run() -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(main())


if __name__ == "__main__":
    run()
