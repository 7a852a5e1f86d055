"""The command line: one file a command, imported only when it is asked for.

Owns parsing and exit codes; knows nothing of what a command does.
"""
