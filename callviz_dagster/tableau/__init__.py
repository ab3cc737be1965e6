"""The Tableau workbook and extract: reading (model), auditing, packing (pack), writing the extract.

No Dagster: the assets are `assets/callviz_workbook.py`, `assets/calls_hyper.py` and `assets/tableau.py`.
"""
