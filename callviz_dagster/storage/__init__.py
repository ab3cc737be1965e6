"""Files: written whole or not at all, archives of BSON documents, and the lock.

The only place that opens a file for writing. What the files contain is decided elsewhere.
"""
