"""The cluster: access.py, client.py and admin.py (how we come in), diagnosis.py (why we do not), permissions.py (what
we may), identity.py (which topic it is), agents.py (the agents of a worker, each declared once), topics.py and
configs.py (the topics, and their settings), clock.py (the brokers' time).
"""
