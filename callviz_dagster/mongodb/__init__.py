"""Talking to MongoDB: connections, snapshot reads, change streams and their errors.

The only place that imports pymongo's client. What documents mean is decided in `documents/`.
"""
