"""callviz: phone calls in a MongoDB collection, carried to a Tableau source that can be trusted.

Import the modules directly: this package re-exports nothing and stays free of import-time work.
"""
