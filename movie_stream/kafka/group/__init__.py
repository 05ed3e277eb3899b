"""The consumer group: members.py, group_state.py and consumer_group.py (who is in it), membership.py (our own share),
leaving.py (leaving at once).
"""
