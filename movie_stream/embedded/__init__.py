"""A Kafka-compatible broker and a mongod of one's own, as child processes that end with their parent.

Start with `services.EmbeddedServices`; `process.py` and `guard.py` say how nothing stays behind.
"""
