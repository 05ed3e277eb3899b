"""Loops over plain arrays, compiled: the innermost work on bytes and integers, one function each.

compiled.py has them compiled, once, where Numba is installed; without it they run as the plain Python functions that
they are. children.py starts the processes in which compiler.py compiles, store.py keeps what they made,
and machine_code.py loads and calls it. `python -m movie_stream.kernels` (__main__.py) compiles all.

records.py reads the records of Kafka's batches, json_objects.py plain JSON records. hashing.py hashes strings,
hash_tables.py numbers strings and pairs of integers. grouping.py computes the figures of groups of views, sketches.py
adds members to sketches, packed_sets.py packs small ones, users.py keeps the first views, days and sessions of users,
titles.py the titles of films. csv_rows.py splits a CSV, json_writer.py writes JSON, bson_writer.py BSON,
record_writer.py Kafka's records. strings.py copies strings.
"""
