"""Kafka, and all that reaches into aiokafka and Faust.

batches/ (record batches, bytes to columns), cluster/ (how we come in, and what the cluster says of itself and its
topics), produce/ (writing, in order and in time), group/ (the consumer group), fetch/ (whole chunks for the agents);
offsets.py (where partitions begin and end), scan.py (reading whole partitions), log.py (a partition as the log behind
a table).
"""
