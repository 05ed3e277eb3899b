"""Columns of numbers and strings on numpy arrays, and what finds and counts in them: knows nothing of films.

allocator.py (memory), columns.py (columns that grow), spans.py (strings that lie in one buffer), decimals.py (their
digits as numbers), slots.py and packed_names.py (hash tables: a string becomes a small integer), murmur2.py (Kafka's
partitioner), bitmap.py (sets of offsets), hyperloglog.py (counting distinct strings).
"""
