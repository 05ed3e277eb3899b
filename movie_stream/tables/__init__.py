"""Changelog-backed tables: a state, its position and its watermark as one object that survives a crash.

checkpoint.py says what stands in a changelog and what of it counts, claim.py whose it is; table.py restores and writes
it, and log.py is what it needs of a log.
"""
