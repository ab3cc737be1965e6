"""`python -m callviz_dagster`."""

import sys

from callviz_dagster.cli.main import main

sys.exit(main())
