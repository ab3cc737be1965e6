"""Every asset check, a module for each asset: what it holds, as a spec, and the pure function that decides it.

Specs stand apart from results, so that a refresh in which everything passes is a row in each check's history, too. The
assets run their checks before they swap a file in, because a check that runs afterwards protects nothing. What belongs
elsewhere: counting (`table/`), reading and writing (`assets/`).
"""
