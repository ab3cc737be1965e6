"""The rounds of a refresh, archive, normalize and CSV part, and where they work: in this process or on a Dask cluster.

- `archive.py`, `normalize.py`: what is done with one partition, as functions of plain values with small results.
- `cluster.py`: the connection to a Dask cluster; `worker.py`: what a worker does with a task.
- `data_folder.py`: the data folder as a worker has it; `fan_out.py`: the rounds as tasks of a cluster.

No Dagster: which partitions are worked on, what the checks say and what Dagster shows is `assets/`. Nor is anything
here that works on documents (`documents/`, `table/`) or on lines of `calls.csv` (`calls_csv/`). Dask is imported by
`cluster.py` and `worker.py` alone, inside functions, so that the engine `local` does not need it.
"""
