"""The columns of `calls`, each made from one batch: times, durations, labels, identifiers, and the other fields.

Each module turns the values of its columns into Arrow arrays and notes what it had to change. Choosing fields and types
is `table/plan.py`, putting the columns together `table/normalize.py`, reading single values `documents/`.
"""
