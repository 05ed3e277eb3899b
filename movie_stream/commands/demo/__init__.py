"""`movie-stream demo`: command.py starts all of it, worker_process.py the worker; watch.py asks what there is to see,
and live.py shows it.
"""
