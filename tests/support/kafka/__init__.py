"""Around a Kafka; the server itself is ../kafka_server.py.

- group_member.py: a member of a consumer group that says what a test has it say
- proxy.py: a network that can be cut, fall silent, or lose a request or an answer
- topics.py: a topic made and read by aiokafka alone
- secured_kafka.py: an Apache Kafka with TLS, logins, client certificates and ACLs
- worker_member.py: a member of a group that joins as a worker does
"""
