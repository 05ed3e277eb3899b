"""The two agents: accumulate.py counts the views of each source partition, publish.py merges and writes documents.

Both own partitions the same way (owner.py): restore on assignment, apply chunks, flush a few times a second, leave.
context.py is what all of them are given, group.py what they need of the consumer group, and the way of a commit;
flush_schedule.py says when a flush is due, tally.py what was done, timings.py how long it took, and delay.py how long
views waited for it. mongo_requests.py asks MongoDB until it answers.

worker.py runs them in one process, over faust_group.py. startup.py connects it; broker_watch.py, group_watch.py and
partition_watch.py end it where it cannot go on; reporter.py tells how it goes, also to Prometheus (metrics/).
alerting.py evaluates the rules for alerts, in one worker at a time.

Which agents there are, kafka/cluster/agents.py declares.
"""
