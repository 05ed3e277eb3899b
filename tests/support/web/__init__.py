"""The web server of the results.

- serving.py: a database with real documents, and a server over it as a process
- asking.py: its application asked in this process
- clients.py: clients of the process, which ask or only hold a connection
- feed_readers.py: a feed of changes in this process, and the events of its readers
"""
