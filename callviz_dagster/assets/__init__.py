"""The assets, one module each, in the order of the flow. Nothing imports from here but `definitions.py`."""
