"""Columns of numbers and strings on numpy arrays, with indexes and distinct counts; independent of films.

allocator.py (memory), columns.py (growable columns, and an index of pairs), spans.py (strings in one buffer), slots.py
and packed_names.py (hash tables: a string becomes a small integer), murmur2.py (Kafka's partitioner), bitmap.py (sets
of offsets), hyperloglog.py (counting distinct strings), bson_columns.py (columns as documents for MongoDB).
"""
