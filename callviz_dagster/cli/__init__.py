"""The command `callviz`: one module per subcommand.

What belongs elsewhere: what a subcommand does beyond arguments, exit codes and the text that it prints.
"""
