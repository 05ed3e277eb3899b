"""Helpers of several tests. No test is in here; a room for each part of the package that takes more than one module.

What counts again, plainly, to hold results against:

- reference.py: the results by the contract's text, event by event; shares no code with movie_stream
- reference_queries.py: what people ask of the results, on a database and on plain documents

The whole stream without Kafka and MongoDB:

- simulation.py: chunks in, documents out, as the two agents would
- schedules.py: agents, tables and figures under a seeded scheduler that pauses, kills and delays
- mutants.py: breaks one rule of the protocol at a time, which schedules.py must notice
- set_backs.py: backups restored while schedules.py runs
- memory_log.py: a partition as a list in memory, with the faults that Kafka has
- stored_state.py: what an earlier version had stored of one state

Real programs:

- whole_path.py: commands as processes, the topic and the documents as they are
- in_process.py: the command line without a process of its own
- kafka_server.py: an Apache Kafka of a test's own
- server_process.py: how such a server is killed, paused and waited for
- stored.py: puts documents into MongoDB, as a finished stream would have
- processes.py: those below a process
- site.py: the site of docs/, as `make site` builds it
- manifests.py: the Helm chart as helm renders it
- monitoring.py: the rules and the dashboard of monitoring/

All of them:

- waiting.py: waits for a condition, with a deadline
- own_result.py: a copy of the package with one more result
- examples.py: how many examples hypothesis tries

The rooms:

- input/: records and files to read
- kafka/: members, networks and logins of a Kafka
- mongo/: a mongod of a test's own, and what looks like a cluster
- alerts/: views that make alerts, and who is told
- web/: the web server, and who asks it
- odata/: the feed for Power BI and Excel, and who reads it
"""
