"""The data of a release in Kafka and MongoDB, and whether the next one continues with it; backups, and their restore.

`release.py` is the stored data of a release, and loads it into a broker and a mongod; `record.py` makes it; `views.py`
are the views in it; `other_version.py` is a worker of another version.
"""
