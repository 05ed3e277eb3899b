"""MongoDB beyond the one that all tests share.

- mongo_server.py: a mongod of a test's own, which may be killed, stopped and made to fail
- mongos.py: a server that answers like the mongos of a sharded cluster
"""
