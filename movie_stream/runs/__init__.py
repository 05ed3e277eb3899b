"""A run is the counting of one log under one set of rules.

fingerprint.py (what figures depend on besides the log), claims.py (who owns the internal topics), counted.py and
watermarks.py (what the checkpoints say), progress.py (what is counted and published, and what is left), set_back.py
(whether Kafka and MongoDB are of one time), rewind.py (back to the beginning, for a rebuild).
"""
