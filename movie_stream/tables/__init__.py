"""Changelog-backed tables: a state, its position and its watermark as one object that survives a crash.

checkpoint.py defines the records of a changelog and which of them count, and claim.py who owns it. table.py restores
and writes it through log.py, the interface to a log.
"""
