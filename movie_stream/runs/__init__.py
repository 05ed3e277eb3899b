"""A run is the counting of one log under one set of rules: which one it is, and how far it is.

fingerprint.py (what figures depend on besides the log), claims.py (whose the internal topics are), counted.py and
watermarks.py (what the checkpoints say), progress.py (what is counted and published, and what is still to come),
rewind.py (back to the beginning, for a rebuild).
"""
