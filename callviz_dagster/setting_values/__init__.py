"""How the text of a setting is read: pure functions from a text to a value, which connect to nothing.

What belongs elsewhere: which settings there are (`settings.py`).
"""
