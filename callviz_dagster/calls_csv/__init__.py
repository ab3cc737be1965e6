"""The text of `calls.csv`: its format, its audit, what is reused of the last file and what changed.

No Dagster: the asset is `assets/calls_csv.py`.
"""
