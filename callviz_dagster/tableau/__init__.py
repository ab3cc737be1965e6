"""The Tableau workbook and extract: reading, auditing and packing them.

No Dagster: the assets are `assets/callviz_workbook.py`, `assets/calls_hyper.py` and `assets/tableau.py`.
"""
