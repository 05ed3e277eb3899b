"""`movie-stream demo`: command.py starts everything, worker_process.py the worker; watch.py looks up the results, and
live.py shows them.
"""
