"""What a refresh does with each partition: the rounds archive and normalize, as functions of plain values.

Each takes what it needs as plain values and paths, and gives back facts that are small. No Dagster: which partitions
are worked on, what the checks say and what Dagster shows is `assets/`. Nor is anything here that works on documents
(`documents/`, `table/`) or on lines of `calls.csv` (`calls_csv/`).
"""
