"""Publishing to Tableau Server and Tableau Cloud, for which the extra `tableau` must be installed.

The only folder that talks to a Tableau server, through `tableauserverclient`, which is imported when a publish begins
and not before. What belongs elsewhere: workbooks and extracts as files (`tableau/`), the assets and checks (`assets/`).
"""

import importlib.util


def installed() -> bool:
    """Return whether the extra `tableau` is installed."""
    return importlib.util.find_spec("tableauserverclient") is not None
