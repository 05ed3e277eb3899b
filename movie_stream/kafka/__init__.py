"""Kafka, and everything that reaches into aiokafka and Faust.

batches/ (record batches, bytes to columns), cluster/ (connections, and metadata of the cluster and its topics),
produce/ (writing, in order and on schedule), group/ (the consumer group), fetch/ (whole chunks for the agents);
offsets.py (where partitions begin and end), scan.py (reading whole partitions), log.py (a partition as the log behind
a table).

These parts of aiokafka are replaced for the whole process: the generator of its records and the class it reads them
from (batches/headers.py; batches/unpack.py for consumers that ask for whole batches), the functions that decompress
them (batches/inflate.py), and the protocol of its connections (fetch/frames.py). Options of a single consumer are kept
in that consumer.
"""
