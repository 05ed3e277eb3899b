"""Loops over plain arrays, compiled: the innermost work on bytes and integers, one function each.

compiled.py compiles them, once, where Numba is installed; without it they run as the plain Python functions that they
are. `python -m movie_stream.kernels` (__main__.py) compiles all. hashing.py hashes strings, grouping.py computes the
figures of groups of views, sketches.py adds members to sketches, users.py keeps the first views, days and sessions of
users, titles.py the titles of films.
"""
