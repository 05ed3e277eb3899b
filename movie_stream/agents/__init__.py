"""The two agents: accumulate.py counts the views of each source partition, publish.py merges and writes documents.

Both own partitions the same way (owner.py): restore on assignment, apply chunks, flush a few times a second, leave.
worker.py runs them in one process; group.py is what they need of the consumer group, metrics.py what it tells.
"""
