"""Shared by all commands: arguments.py (errors in arguments), output.py (standard output and error), exits.py (exit
codes and error lines), logs.py (the log of a worker), words.py (numbers with their nouns).
"""
