"""What every command shares: arguments.py (errors in them), output.py (standard output and error), ending.py (exit
codes, and the line of an error), logs.py (the log of a worker), words.py (numbers with their nouns).
"""
