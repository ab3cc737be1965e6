"""Which document field plays which role: names, evidence and choice.

Pure. Nothing is read here; the evidence is gathered while `raw_calls` streams.
"""
