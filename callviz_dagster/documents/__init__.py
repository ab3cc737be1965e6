"""Single documents and their values: where elements stand in BSON, what a value means, which field plays which role.

Pure. No Dagster, no settings, no files, no tables: what becomes of values is decided in `table/`.
"""
