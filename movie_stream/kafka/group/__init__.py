"""The consumer group: members.py and group_state.py (who is in it), membership.py (one's own share), leaving.py
(leaving at once).
"""
