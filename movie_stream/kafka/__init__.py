"""Kafka, and all that reaches into aiokafka and Faust.

batches/ (record batches, bytes to columns), cluster/ (how we come in, and what the cluster says of itself and its
topics), produce/ (writing, in order and in time), group/ (the consumer group), fetch/ (whole chunks for the agents);
offsets.py (where partitions begin and end), scan.py (reading whole partitions), log.py (a partition as the log behind
a table).

What is replaced in aiokafka is so for the whole process: the generator of its records and what that reads them from
(batches/headers.py; batches/unpack.py for consumers that ask for whole batches), what unpacks them
(batches/inflate.py), and the protocol of its connections (fetch/frames.py). What one consumer wants stands in that
consumer.
"""
