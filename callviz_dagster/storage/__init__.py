"""Files: written whole or not at all, on disk or in object storage, archives of BSON documents, the lock and the lease.

The only place that opens a file for writing. What the files contain is decided elsewhere.
"""
