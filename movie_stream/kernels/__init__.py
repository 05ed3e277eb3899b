"""Loops over plain arrays, compiled: the innermost work on bytes and integers, one function each.

compiled.py compiles them, once, where Numba is installed; without it they run as the plain Python functions that they
are. `python -m movie_stream.kernels` (__main__.py) compiles all. hashing.py hashes strings,
strings.py copies them, csv_rows.py splits a CSV, json_writer.py writes JSON, record_writer.py writes Kafka's records.
"""
