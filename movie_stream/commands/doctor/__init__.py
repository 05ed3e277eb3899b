"""`movie-stream doctor`: command.py has findings.py made of all that a worker needs, clocks.py and workers.py those of
what the names say.
"""
