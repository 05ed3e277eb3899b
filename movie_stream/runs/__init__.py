"""A run is the counting of one log under one set of rules.

fingerprint.py (the rules that figures depend on), claims.py (who owns the internal topics), counted.py and
watermarks.py (positions and watermarks in checkpoints), progress.py (what is counted and published, and what is left),
set_back.py (whether Kafka and MongoDB are of the same time), rewind.py (resets offsets to the beginning, for a
rebuild).
"""
