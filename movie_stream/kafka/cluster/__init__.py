"""The cluster: access.py, client.py and admin.py (connections), diagnosis.py (why a connection fails), permissions.py
(our ACLs), identity.py (the ids of topics), agents.py (the agents of a worker, each declared once), topics.py and
configs.py (the topics, and their settings), clock.py (the brokers' time).
"""
