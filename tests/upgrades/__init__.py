"""What a release has left in Kafka and MongoDB, and whether the next one goes on with it; backups, and their way back.

`release.py` is what is stored of a release, and its way into a broker and a mongod; `record.py` makes it; `views.py`
are the views in it; `other_version.py` is a worker of another version.
"""
