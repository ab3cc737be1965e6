"""What the command and the demo share on one machine: a Dagster instance of their own, and the summary of a refresh.

What belongs elsewhere: arguments, exit codes and progress (`cli/`), the sample calls (`demo/`).
"""
