"""`movie-stream doctor`: command.py checks everything that a worker needs, with clocks.py and workers.py for what their
names say; findings.py is the result.
"""
