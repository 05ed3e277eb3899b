"""What every command shares: arguments.py (what is wrong with them), output.py (what it prints), ending.py (how it
ends, whatever ends it), logs.py (what a worker says while it runs), words.py (numbers with their nouns).
"""
