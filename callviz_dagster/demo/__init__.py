"""The demo: an embedded MongoDB, sample calls, and the commands behind `make demo` and `make dev`.

Nothing outside this package and the tests imports it. What belongs elsewhere: everything that a user with their
own MongoDB needs.
"""
