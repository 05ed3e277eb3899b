"""The two agents: accumulate.py counts the views of each source partition, publish.py merges and writes documents.

Both own partitions the same way (owner.py): restore on assignment, apply chunks, flush when views arrive, leave.
context.py holds what they share. group.py is the interface to the consumer group, and describes the path of a commit.
flush_schedule.py schedules flushes, by the CPU time that they take. tally.py counts the work done, timings.py measures
how long it took, and delay.py how long views waited for it. mongo_requests.py retries requests to MongoDB until it
answers.

worker.py runs them in one process, over faust_group.py. startup.py connects it. takeover.py gives it the partitions
that it is assigned. broker_watch.py, group_watch.py and partition_watch.py end it when it cannot continue. reporter.py
reports its progress, also to Prometheus (metrics/). alerting.py evaluates the rules for alerts, in one worker at a
time.

kafka/cluster/agents.py declares the agents.
"""
