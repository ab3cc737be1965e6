"""Documents as rows of `calls` and `rejected_calls`: planning the columns, normalizing, and the files' metadata.

No Dagster and no MongoDB; planning and normalizing read no settings.
"""
