"""The dashboard in a real browser, a module for each side of it.

With CALLVIZ_TEST_SCREENSHOTS=<folder> the tests leave pictures of the page there.
"""
